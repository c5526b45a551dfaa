"""The real-world video degradation of RealBasicVSR (Chan et al., CVPR 2022): two orders and a shuffled end, x4.

Its clean frames are sharpened first (the target too): `transforms=[dict(type="UnsharpMask")]` in the dataset, whose
crops are 256 pixels a side in the paper.
"""

degradation = dict(
    type="Compose",
    protocol="realbasicvsr-x4",
    steps=[
        # First order
        dict(type="RandomBlur"),
        dict(type="RandomResize"),
        dict(type="RandomNoise"),
        dict(type="JPEGCompression"),
        dict(type="VideoCompression"),
        # Second order
        dict(type="Chance", prob=0.8, step=dict(type="RandomBlur", sigma_x=(0.2, 1.5), sigma_y=(0.2, 1.5))),
        dict(type="RandomResize", modes=dict(up=0.3, down=0.4, keep=0.3), factor=(0.3, 1.2), step=0.03),
        dict(type="RandomNoise", sigma=(1, 25), poisson_scale=(0.05, 2.5)),
        dict(type="JPEGCompression"),
        # The end, in either order
        dict(
            type="Shuffle",
            steps=[
                dict(type="VideoCompression"),
                dict(
                    type="Compose",
                    steps=[
                        dict(type="ResizeTo", scale=4),
                        dict(
                            type="Chance",
                            prob=0.8,
                            step=dict(type="RandomBlur", kinds=dict(sinc=1), omega=(1.0471976, 3.1415927)),
                        ),
                    ],
                ),
            ],
        ),
        dict(type="Quantise"),
    ],
)
