# VEnhancer in small, for two CPU cores: 3.7 million parameters, the same classes, wavelets for the VAE, no text.
#
#   vrestore restore in.mp4 out.mp4 --config configs/venhancer/venhancer_tiny.py
#
# With `untrained` it runs with random weights where none are given, to try the machinery and to measure memory;
# weights made by tools/train.py are given with --weights, and win.
model = dict(
    type="VEnhancer",
    backbone=dict(
        type="UNet3D",
        in_dim=24,
        out_dim=24,
        dim=64,
        dim_mult=[1, 1, 1],
        num_heads=2,
        head_dim=32,
        num_res_blocks=1,
        attn_scales=[],
        context_dim=64,
        adapter=dict(type="VideoControlNet"),
    ),
    # 16 bands of luma and 4 of each colour difference to 4x4 pixels. Each is divided by its standard deviation in the
    # training clips to the power of 3/4: nearly one height, with the strong bands a little above.
    # tools/latent_statistics.py measures such numbers, and `residual_std`.
    autoencoder=dict(
        type="WaveletAutoencoder",
        levels=2,
        colour="ycbcr420",
        band_std=[
            *(1.491, 0.191, 0.199, 0.059, 0.335, 0.216, 0.103, 0.076, 0.351, 0.104, 0.224, 0.076),
            *(0.186, 0.130, 0.133, 0.101),
            *(0.406, 0.385, 0.053, 0.059, 0.051, 0.055, 0.024, 0.029),
        ],
    ),
    text=dict(type="EmptyText", context_dim=64),
    # What the enlarged key frames lack is generated, and not the whole picture: the network need not learn to repeat
    # what it was given. Deviations of that in the training clips, each latent channel's.
    residual_std=[
        *(0.217, 0.502, 0.499, 0.401, 0.598, 0.635, 0.470, 0.441, 0.561, 0.464, 0.624, 0.435),
        *(0.563, 0.542, 0.520, 0.491),
        *(0.068, 0.068, 0.251, 0.253, 0.241, 0.245, 0.242, 0.237),
    ],
    residual_gain=0.5,
    residual_contrast=2.0,
    residual_kernel="bicubic",  # trained beside the bilinear one; what is generated goes with the sharper one as well
    strength=50,
    weights_licence="Apache-2.0",
    prompt="",
    guidance_scale=1.0,
    untrained=True,
)
