# Real-ESRNet x4: RRDBNet (16.7 million parameters) without a discriminator, the first stage of realesrgan_x4plus.py.
#
#   python tools/train.py configs/realesrgan/realesrnet_x4plus.py
#
# trains it: L1 loss, 1 000 000 iterations of Adam at 2e-4, 48 crops a step (12 in each of four processes), from
# ESRGAN's weights. The pictures are DF2K at several scales and OST, cut into pieces of 400 pixels, a folder each; of a
# piece a crop of 256 is sharpened and degraded. (The release degrades the whole piece and crops afterwards; here the
# border of the crop is mirrored instead.) It is watched on REDS4 under bicubic degradation.
_base_ = ["../_base_/default_runtime.py", "../_base_/reds_bix4.py", "../degradations/realesrgan.py"]

model = dict(
    type="FramewiseRestorer",
    backbone=dict(type="RRDBNet", mid_channels=64, num_blocks=23, growth_channels=32, upscale_factor=4),
    pixel_loss=dict(type="L1Loss"),
)

train_dataloader = dict(
    batch_size=48,
    num_workers=20,
    dataset=dict(
        _delete_=True,
        type="ClipDataset",
        roots=[
            "{{$VRESTORE_DATASETS:data}}/DF2K/DF2K_multiscale_sub",
            "{{$VRESTORE_DATASETS:data}}/DF2K/OST_sub",
        ],
        degradation={{_base_.degradation}},
        frames=1,
        crop_px=256,
        flip=False,
        transpose=False,
        time_reverse=False,
        transforms=[dict(type="RandomFlip", vertical=False), dict(type="UnsharpMask")],
    ),
)

_esrgan = "https://github.com/xinntao/Real-ESRGAN/releases/download/v0.1.1/ESRGAN_SRx4_DF2KOST_official-ff704c30.pth"
custom_hooks = [
    dict(type="EMAHook", momentum=0.001),
    dict(type="SampleImageHook", clips=4),
    dict(type="StartFromHook", parts={"backbone": _esrgan}),
]
optim_wrapper = dict(type="AutocastOptimWrapper", optimizer=dict(type="Adam", lr=2e-4, betas=(0.9, 0.99)))
param_scheduler = []
train_cfg = dict(max_iters=1_000_000, val_interval=5_000)
