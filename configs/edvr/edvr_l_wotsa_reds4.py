# EDVR-L without attention over time and space, for BIx4. The releases train for 600 000 iterations with restarts of
# the learning rate whose lengths are not repeated here, so the training part is left out.
model = dict(
    type="SlidingWindowRestorer",
    backbone=dict(type="EDVR", mid_channels=128, num_frames=5, num_blocks_reconstruction=40, with_tsa=False),
    padding="reflection_circle",
)
