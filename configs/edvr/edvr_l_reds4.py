# EDVR-L for BIx4 (20.6 million parameters), windows of 5 frames, trained on REDS, 64 windows a step: the recipe of
# MMagic's release, but that it begins with the weights of edvr_l_wotsa_reds4.py and trains the attention over time and
# space alone for 5000 iterations. From nothing, as here, all of it trains at once.
_base_ = ["../_base_/edvr_600k.py"]

model = dict(
    type="SlidingWindowRestorer",
    backbone=dict(type="EDVR", mid_channels=128, num_frames=5, num_blocks_reconstruction=40),
    pixel_loss=dict(type="CharbonnierLoss"),
    padding="reflection_circle",
)
