# SRVGGNetCompact x4 with 32 convolutions: realesr-general-x4v3 and realesr-general-wdn-x4v3. Its training needs a
# perceptual and an adversarial loss, which this project does not have yet; so there is none here. The degradations
# are in ../degradations/realesrgan.py.
model = dict(
    type="FramewiseRestorer",
    backbone=dict(type="SRVGGNetCompact", mid_channels=64, num_convs=32, upscale_factor=4, act_type="prelu"),
)
