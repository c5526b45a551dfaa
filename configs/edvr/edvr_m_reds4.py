# EDVR-M for BIx4 (3.3 million parameters), windows of 5 frames. The releases train for 600 000 iterations with
# restarts of the learning rate whose lengths are not repeated here, so the training part is left out.
model = dict(
    type="SlidingWindowRestorer",
    backbone=dict(type="EDVR", mid_channels=64, num_frames=5, num_blocks_reconstruction=10),
    padding="reflection_circle",
)
