"""A tiny config for every registry entry that the contract tests build. A new entry needs one line here."""

SPYNET = dict(type="SPyNet", num_levels=2, channels=(4, 4, 4, 4), kernel_size=3)
BASICVSR = dict(type="BasicVSR", mid_channels=8, num_blocks=1, hr_channels=8, spynet=SPYNET)
BASICVSR_PLUSPLUS = dict(type="BasicVSRPlusPlus", mid_channels=8, num_blocks=1, hr_channels=8, spynet=SPYNET)

EDVR = dict(
    type="EDVR",
    **dict(mid_channels=8, num_frames=3, deform_groups=2, num_blocks_extraction=1, num_blocks_reconstruction=1),
    hr_channels=8,
)
ICONVSR = dict(
    type="IconVSR",
    **dict(mid_channels=8, num_blocks=1, keyframe_stride=2, padding=1, deform_groups=2, num_blocks_extraction=1),
    **dict(hr_channels=8, spynet=SPYNET),
)
REALBASICVSR = dict(
    type="RealBasicVSR",
    **dict(mid_channels=8, num_propagation_blocks=1, num_cleaning_blocks=1, hr_channels=8, spynet=SPYNET),
)
RVRT = dict(
    type="RVRT",
    **dict(window_size=[2, 4, 4], num_blocks=[1, 1, 1], depths=[2, 2, 1], embed_dims=[12, 12, 12], num_heads=[2, 2, 2]),
    **dict(deformable_groups=4, attention_heads=4, offset_channels=8, upsample_channels=8, spynet=SPYNET),
)

# net(lq_BTCHW) -> hq_BTCHW; T is a multiple of net.frames_multiple, the sides of net.size_multiple, where it has them
CLIP_BACKBONES = {
    "BasicVSR": BASICVSR,
    "BasicVSRPlusPlus": BASICVSR_PLUSPLUS,
    "IconVSR": ICONVSR,
    "RVRT": RVRT,
    "RealBasicVSR": REALBASICVSR,
}
# net(lq_BTCHW) -> hq_BCHW of the centre frame, T = net.num_frames, sides multiples of net.size_multiple
WINDOW_BACKBONES = {"EDVR": EDVR}
SRVGG = dict(type="SRVGGNetCompact", mid_channels=8, num_convs=1)
# net(x_NCHW) -> y_NCHW
IMAGE_BACKBONES = {
    "BasicSRArch": dict(
        type="BasicSRArch", name="RRDBNet", num_in_ch=3, num_out_ch=3, num_feat=8, num_block=1, num_grow_ch=4, scale=2
    ),
    "RRDBNet": dict(type="RRDBNet", mid_channels=8, num_blocks=1, growth_channels=4, upscale_factor=1),
    "SRVGGNetCompact": SRVGG,
    "SpandrelImageNetwork": dict(type="SpandrelImageNetwork"),
    "SwinIR": dict(
        type="SwinIR",
        **dict(img_size=16, embed_dim=12, depths=[2], num_heads=[2], window_size=8, mlp_ratio=2.0),
        **dict(drop_path_rate=0.0, upscale=2, upsampler="pixelshuffle"),
    ),
}
# net(ref_NCHW, supp_NCHW) -> flow_N2HW
FLOW_BACKBONES = {"SPyNet": SPYNET}
# net(img0_NCHW, img1_NCHW, timestep) -> frame_NCHW
PAIR_BACKBONES = {
    "IFNet": dict(type="IFNet", arbitrary_time=True, channels=[8, 8, 8], num_convs=1, context_channels=4),
    "RIFE": dict(
        **dict(type="RIFE", version="4.25", channels=[8, 8, 8, 8, 8], num_convs=1),
        **dict(encoder_channels=4, feature_channels=2),
    ),
}
# net(lq_BTCHW) -> hq_BTCHW, larger frames and more of them; over pairs: net(lq_B2CHW, times, size)
ZOOMING = dict(mid_channels=8, deform_groups=2, front_blocks=1, back_blocks=1, hr_channels=8)
SPACETIME_BACKBONES = {
    "VideoINR": dict(type="VideoINR", **ZOOMING, feature_hidden=[8, 8], flow_hidden=[8, 8], encode_hidden=[8, 8]),
    "ZoomingSlowMo": dict(type="ZoomingSlowMo", **ZOOMING),
}
# networks over latents, called by diffusion restorers
LATENT_BACKBONES = {
    "UNet3D": dict(
        type="UNet3D",
        **dict(dim=32, dim_mult=[1, 2], num_heads=2, head_dim=16, num_res_blocks=1, attn_scales=[1.0, 0.5]),
        **dict(context_dim=8, adapter=dict(type="VideoControlNet")),
    )
}
# net(frames_NCHW) -> scores_N1HW, and net(frames_NCHW, layers) -> features by layer: for training alone
DISCRIMINATORS = {
    "UNetDiscriminatorSN": dict(type="UNetDiscriminatorSN", mid_channels=4),
    "UNetDiscriminatorWithSpectralNorm": dict(type="UNetDiscriminatorWithSpectralNorm", mid_channels=4),
}
VGG_CHANNELS = (4, 4, 8, 8, 8)
FEATURE_BACKBONES = {"VGGFeatures": dict(type="VGGFeatures", channels=VGG_CHANNELS)}
BACKBONES = {
    **CLIP_BACKBONES,
    **DISCRIMINATORS,
    **FEATURE_BACKBONES,
    **FLOW_BACKBONES,
    **IMAGE_BACKBONES,
    **LATENT_BACKBONES,
    **PAIR_BACKBONES,
    **SPACETIME_BACKBONES,
    **WINDOW_BACKBONES,
}


ADVERSARIAL = dict(discriminator=DISCRIMINATORS["UNetDiscriminatorSN"], gan_loss=dict(type="GANLoss"))
RESTORERS = {
    "AdversarialRestorer": dict(type="AdversarialRestorer", backbone=BASICVSR, **ADVERSARIAL),
    "CascadeRestorer": dict(
        type="CascadeRestorer",
        stages=[
            dict(type="ResampleRestorer", spatial="bicubic", temporal="blend"),
            dict(type="RegressionRestorer", backbone=BASICVSR),
        ],
        requests=[dict(scale=1), {}],
    ),
    "FramewiseAdversarialRestorer": dict(type="FramewiseAdversarialRestorer", backbone=SRVGG, **ADVERSARIAL),
    "FramewiseRestorer": dict(type="FramewiseRestorer", backbone=SRVGG, batch_frames=2),
    # frames of noise are cuts to it, and its network would not be asked
    "InterpolationRestorer": dict(type="InterpolationRestorer", backbone=PAIR_BACKBONES["RIFE"], cut_below=None),
    "SpaceTimeRestorer": dict(type="SpaceTimeRestorer", backbone=SPACETIME_BACKBONES["VideoINR"]),
    "ResampleRestorer": dict(type="ResampleRestorer", spatial="bicubic", temporal="blend"),
    "RegressionRestorer": dict(type="RegressionRestorer", backbone=BASICVSR),
    "SlidingWindowRestorer": dict(type="SlidingWindowRestorer", backbone=EDVR),
    "VEnhancer": dict(
        type="VEnhancer",
        backbone={**LATENT_BACKBONES["UNet3D"], "in_dim": 12, "out_dim": 12},
        autoencoder=dict(type="WaveletAutoencoder", levels=1, scale_factor=0.5),
        text=dict(type="EmptyText", context_dim=8),
        **dict(prompt="", steps=2, spacing="trailing", guidance_scale=1.0, untrained=True),
    ),
}
LOSSES = {
    **{name: dict(type=name) for name in ("L1Loss", "MSELoss", "CharbonnierLoss")},
    "PerceptualLoss": dict(type="PerceptualLoss", layer_weights={"2": 1.0}, channels=VGG_CHANNELS, untrained=True),
}
# loss(intermediates, lq, hq)
AUXILIARY_LOSSES = {
    "CleaningLoss": dict(type="CleaningLoss"),
    "PhotometricFlowLoss": dict(type="PhotometricFlowLoss"),
}
# loss(scores, target_is_real, is_disc)
ADVERSARIAL_LOSSES = {"GANLoss": dict(type="GANLoss")}
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
