"""The image degradation of Real-ESRGAN (Wang et al., ICCVW 2021): two orders, x4; the same for all frames of a clip.

Its clean frames are sharpened first (the target too): `transforms=[dict(type="UnsharpMask")]` in the dataset.
"""

_still = dict(sigma_step=0, angle_step=0, beta_gaussian_step=0, beta_plateau_step=0, omega_step=0)
_jpeg = dict(type="JPEGCompression", step=0, coder="simulated")
_final_size = dict(type="ResizeTo", scale=4)
_final_sinc = dict(
    type="Chance",
    prob=0.8,
    step=dict(type="RandomBlur", kinds=dict(sinc=1), omega=(1.0471976, 3.1415927), **_still),
)

degradation = dict(
    type="Compose",
    protocol="realesrgan-x4",
    steps=[
        # First order
        dict(type="RandomBlur", beta_halves=True, **_still),
        dict(type="RandomResize", step=0, even=False),
        dict(type="RandomNoise", sigma_step=0, poisson_step=0),
        _jpeg,
        # Second order
        dict(
            type="Chance",
            prob=0.8,
            step=dict(type="RandomBlur", sigma_x=(0.2, 1.5), sigma_y=(0.2, 1.5), beta_halves=True, **_still),
        ),
        dict(type="RandomResize", modes=dict(up=0.3, down=0.4, keep=0.3), factor=(0.3, 1.2), step=0, even=False),
        dict(type="RandomNoise", sigma=(1, 25), sigma_step=0, poisson_scale=(0.05, 2.5), poisson_step=0),
        # The end, in either order
        dict(type="Shuffle", steps=[dict(type="Compose", steps=[_final_size, _final_sinc]), _jpeg]),
        dict(type="Quantise"),
    ],
)
