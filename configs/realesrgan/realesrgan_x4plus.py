# RRDBNet x4 (16.7 million parameters): RealESRGAN_x4plus, RealESRNet_x4plus, ESRGAN and MMagic's Real-ESRGAN share
# it. Its training needs a perceptual and an adversarial loss, which this project does not have yet; so there is none
# here. The degradations are in ../degradations/realesrgan.py.
model = dict(
    type="FramewiseRestorer",
    backbone=dict(type="RRDBNet", mid_channels=64, num_blocks=23, growth_channels=32, upscale_factor=4),
)
