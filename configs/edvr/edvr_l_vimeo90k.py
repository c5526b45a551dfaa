# EDVR-L for BIx4, windows of 7 frames, as trained on Vimeo-90K. The release states no recipe of the training.
model = dict(
    type="SlidingWindowRestorer",
    backbone=dict(type="EDVR", mid_channels=128, num_frames=7, num_blocks_reconstruction=40),
    padding="reflection_circle",
)
