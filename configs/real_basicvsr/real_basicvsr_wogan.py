# RealBasicVSR after its first stage, without a discriminator; its threshold in the paper's tests is 1.5.
#
# That stage (300 000 iterations, Adam 1e-4, pixel loss and cleaning loss on degradations in two orders with video
# compression) needs those degradations, which this project does not have yet; so there is none here.
model = dict(
    type="RegressionRestorer",
    backbone=dict(
        type="RealBasicVSR",
        mid_channels=64,
        num_propagation_blocks=20,
        num_cleaning_blocks=20,
        dynamic_refine_thres=255,
        is_sequential_cleaning=True,
    ),
)
