# SRVGGNetCompact x4 with 32 convolutions: realesr-general-x4v3 and realesr-general-wdn-x4v3.
# The release tells neither its data nor its figures, so there is no training here; FramewiseAdversarialRestorer trains
# this network as realesrgan_x4plus.py does its own.
model = dict(
    type="FramewiseRestorer",
    backbone=dict(type="SRVGGNetCompact", mid_channels=64, num_convs=32, upscale_factor=4, act_type="prelu"),
)
