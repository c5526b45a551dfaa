# EDVR-L without attention over time and space, for BIx4, trained on REDS, 64 windows a step: the recipe of MMagic's
# release.
_base_ = ["../_base_/edvr_600k.py"]

model = dict(
    type="SlidingWindowRestorer",
    backbone=dict(type="EDVR", mid_channels=128, num_frames=5, num_blocks_reconstruction=40, with_tsa=False),
    pixel_loss=dict(type="CharbonnierLoss"),
    padding="reflection_circle",
)
