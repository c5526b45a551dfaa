# VEnhancer in small, for two CPU cores: 9.9 million parameters, the same classes, a wavelet for the VAE, no text.
#
#   vrestore restore in.mp4 out.mp4 --config configs/venhancer/venhancer_tiny.py
#
# No weights ship with it. With `untrained` it runs with random ones, to try the machinery and to measure time and
# memory; weights made by tools/train.py are given with --weights, and win.
model = dict(
    type="VEnhancer",
    backbone=dict(
        type="UNet3D",
        in_dim=48,
        out_dim=48,
        dim=32,
        dim_mult=[1, 2, 4],
        num_heads=2,
        head_dim=32,
        num_res_blocks=1,
        attn_scales=[0.25],
        context_dim=64,
        adapter=dict(type="VideoControlNet"),
    ),
    autoencoder=dict(type="WaveletAutoencoder", levels=2, scale_factor=0.5),
    text=dict(type="EmptyText", context_dim=64),
    prompt="",
    guidance_scale=1.0,
    untrained=True,
)
