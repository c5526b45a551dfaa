# The large BasicVSR++ (43.8 million parameters) of NTIRE 2021 for x4 super-resolution. How it was trained (in stages,
# with more data, tested with flips of its input) is told by its report and not repeated here.
model = dict(
    type="RegressionRestorer",
    backbone=dict(type="BasicVSRPlusPlus", mid_channels=128, num_blocks=25, is_low_res_input=True),
)
