# RRDBNet x4 with 6 blocks: RealESRGAN_x4plus_anime_6B. The release tells neither its pictures nor its figures, so there
# is no training here; realesrgan_x4plus.py trains this network too: model.backbone.num_blocks=6 and your drawings.
model = dict(
    type="FramewiseRestorer",
    backbone=dict(type="RRDBNet", mid_channels=64, num_blocks=6, growth_channels=32, upscale_factor=4),
)
