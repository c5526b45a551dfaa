# SwinIR-L x4 for real-world pictures (28.0 million parameters). Its training needs a perceptual and an adversarial
# loss, which this project does not have yet; so there is none here. The degradations are in
# ../degradations/realesrgan.py.
model = dict(
    type="FramewiseRestorer",
    backbone=dict(
        type="SwinIR",
        upscale=4,
        img_size=64,
        window_size=8,
        depths=[6, 6, 6, 6, 6, 6, 6, 6, 6],
        embed_dim=240,
        num_heads=[8, 8, 8, 8, 8, 8, 8, 8, 8],
        mlp_ratio=2,
        upsampler="nearest+conv",
        resi_connection="3conv",
    ),
)
