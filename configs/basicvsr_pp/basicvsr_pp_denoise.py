# BasicVSR++ against noise; frames keep their size. The release states no recipe of the training, so there is none
# here.
model = dict(
    type="RegressionRestorer",
    backbone=dict(type="BasicVSRPlusPlus", mid_channels=64, num_blocks=15, is_low_res_input=False),
)
