"""The space-time augmentation of VEnhancer (He et al., 2024): key frames 1 to 8 apart, shrunk 1 to 8 times."""

degradation = dict(
    type="SpaceTimeDown",
    downscale=(1, 8),
    key_frame_stride=(1, 8),
    noise_level=(1, 300),
)
