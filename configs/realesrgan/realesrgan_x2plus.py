# RRDBNet x2 behind a pixel-unshuffle: RealESRGAN_x2plus. It trains as realesrgan_x4plus.py does, with that config's
# losses and optimisers, this network and a degradation that ends at x2; no config here spells that out.
model = dict(
    type="FramewiseRestorer",
    backbone=dict(type="RRDBNet", mid_channels=64, num_blocks=23, growth_channels=32, upscale_factor=2),
)
