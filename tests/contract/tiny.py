"""A tiny config for every registry entry that the contract tests build. A new entry needs one line here."""

SPYNET = dict(type="SPyNet", num_levels=2, channels=(4, 4, 4, 4), kernel_size=3)
BASICVSR = dict(type="BasicVSR", mid_channels=8, num_blocks=1, hr_channels=8, spynet=SPYNET)

# net(lq_BTCHW) -> hq_BTCHW
CLIP_BACKBONES = {"BasicVSR": BASICVSR}
# net(ref_NCHW, supp_NCHW) -> flow_N2HW
FLOW_BACKBONES = {"SPyNet": SPYNET}
# networks over latents, called by diffusion restorers
LATENT_BACKBONES = {
    "UNet3D": dict(
        type="UNet3D",
        **dict(dim=32, dim_mult=[1, 2], num_heads=2, head_dim=16, num_res_blocks=1, attn_scales=[1.0, 0.5]),
        **dict(context_dim=8, adapter=dict(type="VideoControlNet")),
    )
}

RESTORERS = {
    "ResampleRestorer": dict(type="ResampleRestorer", spatial="bicubic", temporal="blend"),
    "RegressionRestorer": dict(type="RegressionRestorer", backbone=BASICVSR),
    "VEnhancer": dict(
        type="VEnhancer",
        backbone={**LATENT_BACKBONES["UNet3D"], "in_dim": 12, "out_dim": 12},
        autoencoder=dict(type="WaveletAutoencoder", levels=1, scale_factor=0.5),
        text=dict(type="EmptyText", context_dim=8),
        **dict(prompt="", steps=2, spacing="trailing", guidance_scale=1.0, untrained=True),
    ),
}
LOSSES = {name: dict(type=name) for name in ("L1Loss", "MSELoss", "CharbonnierLoss")}
# loss(intermediates, lq, hq)
AUXILIARY_LOSSES = {"PhotometricFlowLoss": dict(type="PhotometricFlowLoss")}
DEGRADATIONS = {
    **{
        name: dict(type=name)
        for name in (
            *("ColourDrift", "FilmGrain", "Flicker", "FrameDrop", "Identity", "Interlace", "JPEGCompression"),
            *("Quantise", "RandomBlur", "RandomNoise", "RandomResize", "SpaceTimeDown", "UnsharpMask"),
        )
    },
    "BicubicDown": dict(type="BicubicDown", scale=2),
    "BlurDown": dict(type="BlurDown", scale=2),
    "Chance": dict(type="Chance", step=dict(type="RandomBlur")),
    "Compose": dict(type="Compose", steps=[dict(type="RandomResize"), dict(type="ResizeTo", scale=2)]),
    "ResizeTo": dict(type="ResizeTo", scale=2),
    "Shuffle": dict(type="Shuffle", steps=[dict(type="JPEGCompression"), dict(type="BicubicDown", scale=2)]),
    "VideoCompression": dict(type="VideoCompression", codecs="mpeg4"),
}
