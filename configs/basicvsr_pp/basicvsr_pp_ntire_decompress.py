# The large BasicVSR++ (44.1 million parameters) of NTIRE 2021 for compressed video, tracks 1 to 3; frames keep their
# size. How it was trained is told by its report and not repeated here.
model = dict(
    type="RegressionRestorer",
    backbone=dict(type="BasicVSRPlusPlus", mid_channels=128, num_blocks=25, is_low_res_input=False),
)
