# RRDBNet x4 with 6 blocks: RealESRGAN_x4plus_anime_6B. Its training needs a perceptual and an adversarial loss, which
# this project does not have yet; so there is none here. The degradations are in ../degradations/realesrgan.py.
model = dict(
    type="FramewiseRestorer",
    backbone=dict(type="RRDBNet", mid_channels=64, num_blocks=6, growth_channels=32, upscale_factor=4),
)
