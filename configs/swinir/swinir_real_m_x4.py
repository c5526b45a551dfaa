# SwinIR-M x4 for real-world pictures (11.7 million parameters). It was trained on the degradations of BSRGAN with
# pixel, perceptual and adversarial loss; those degradations are not here and its figures not known to us, so there is
# no training here. FramewiseAdversarialRestorer trains this network as ../realesrgan/realesrgan_x4plus.py does its own.
model = dict(
    type="FramewiseRestorer",
    backbone=dict(
        type="SwinIR",
        upscale=4,
        img_size=64,
        window_size=8,
        depths=[6, 6, 6, 6, 6, 6],
        embed_dim=180,
        num_heads=[6, 6, 6, 6, 6, 6],
        mlp_ratio=2,
        upsampler="nearest+conv",
        resi_connection="1conv",
    ),
)
