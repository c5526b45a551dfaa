# Real-ESRGAN x4: RRDBNet (16.7 million parameters); RealESRGAN_x4plus, ESRGAN and MMagic's Real-ESRGAN share it.
#
#   python tools/train.py configs/realesrgan/realesrgan_x4plus.py
#
# trains the second stage: 400 000 iterations against a discriminator, from Real-ESRNet's weights, on the data of
# realesrnet_x4plus.py. Pixel and perceptual loss see the sharpened pictures, the discriminator those before.
_base_ = ["realesrnet_x4plus.py"]

model = dict(
    type="FramewiseAdversarialRestorer",
    discriminator=dict(type="UNetDiscriminatorSN", mid_channels=64, skip_connection=True),
    perceptual_loss=dict(
        type="PerceptualLoss",
        layer_weights=dict(conv1_2=0.1, conv2_2=0.1, conv3_4=1.0, conv4_4=1.0, conv5_4=1.0),
        vgg_type="vgg19",
        weights=dict(url="https://download.pytorch.org/models/vgg19-dcbb9e9d.pth", sha256="dcbb9e9d"),
    ),
    gan_loss=dict(type="GANLoss", gan_type="vanilla", loss_weight=0.1),
)

train_dataloader = dict(
    dataset=dict(transforms=[dict(type="RandomFlip", vertical=False), dict(type="UnsharpMask", keep=True)]),
)

_first_stage = "https://github.com/xinntao/Real-ESRGAN/releases/download/v0.1.1/RealESRNet_x4plus.pth"
custom_hooks = [
    dict(type="EMAHook", momentum=0.001),
    dict(type="SampleImageHook", clips=4),
    dict(type="StartFromHook", parts={"backbone": _first_stage}),
]
optim_wrapper = dict(
    _delete_=True,
    generator=dict(optimizer=dict(type="Adam", lr=1e-4, betas=(0.9, 0.99))),
    discriminator=dict(optimizer=dict(type="Adam", lr=1e-4, betas=(0.9, 0.99))),
)
train_cfg = dict(max_iters=400_000)
