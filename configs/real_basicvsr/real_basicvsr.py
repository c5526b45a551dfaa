# RealBasicVSR as released: the threshold 255 means one pass of cleaning; 5 is what its paper tests with.
#
#   python tools/train.py configs/real_basicvsr/real_basicvsr.py
#
# trains its second stage: 150 000 iterations against a discriminator, 8 clips a step, from the weights of the first
# (real_basicvsr_wogan.py, whose data and degradations these are; load_from takes a first stage of your own in place of
# the released one). Pixel, cleaning and perceptual loss see the sharpened clean frames, the discriminator those before.
_base_ = ["real_basicvsr_wogan.py"]

model = dict(
    type="AdversarialRestorer",
    discriminator=dict(type="UNetDiscriminatorSN", mid_channels=64, skip_connection=True),
    perceptual_loss=dict(
        type="PerceptualLoss",
        layer_weights={"2": 0.1, "7": 0.1, "16": 1.0, "25": 1.0, "34": 1.0},
        vgg_type="vgg19",
        weights=dict(url="https://download.pytorch.org/models/vgg19-dcbb9e9d.pth", sha256="dcbb9e9d"),
    ),
    gan_loss=dict(type="GANLoss", gan_type="vanilla", loss_weight=5e-2),
)

train_dataloader = dict(
    batch_size=8,
    dataset=dict(transforms=[dict(type="UnsharpMask", keep=True), dict(type="MirrorExtend")]),
)

_releases = "https://download.openmmlab.com/mmediting/restorers/real_basicvsr"
_first_stage = f"{_releases}/realbasicvsr_wogan_c64b20_2x30x8_lr1e-4_300k_reds_20211027-0e2ff207.pth"
custom_hooks = [
    dict(type="EMAHook", momentum=0.001),
    dict(type="SampleImageHook", clips=4),
    dict(type="StartFromHook", parts={"backbone": _first_stage}),
]
optim_wrapper = dict(
    _delete_=True,
    generator=dict(optimizer=dict(type="Adam", lr=5e-5, betas=(0.9, 0.99))),
    discriminator=dict(optimizer=dict(type="Adam", lr=1e-4, betas=(0.9, 0.99))),
)
train_cfg = dict(max_iters=150_000)
