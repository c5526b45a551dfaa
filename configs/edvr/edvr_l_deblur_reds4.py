# EDVR-L against motion blur, or blur and compression; frames keep their size. The release states no recipe of the
# training.
model = dict(
    type="SlidingWindowRestorer",
    backbone=dict(
        type="EDVR", mid_channels=128, num_frames=5, num_blocks_reconstruction=40, with_predeblur=True, hr_in=True
    ),
    padding="replicate",
)
