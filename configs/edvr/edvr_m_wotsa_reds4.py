# EDVR-M without attention over time and space, for BIx4, trained on REDS, 32 windows a step: the recipe of MMagic's
# release.
_base_ = ["../_base_/edvr_600k.py"]

model = dict(
    type="SlidingWindowRestorer",
    backbone=dict(type="EDVR", mid_channels=64, num_frames=5, num_blocks_reconstruction=10, with_tsa=False),
    pixel_loss=dict(type="CharbonnierLoss"),
    padding="reflection_circle",
)
train_dataloader = dict(batch_size=32)
optim_wrapper = dict(optimizer=dict(lr=4e-4))
