# The default that ships trained: a small BasicVSR, x4, bicubic degradation (BIx4), made for two CPU cores.
# Its flow network is a SPyNet of four narrow levels, trained along with the rest; a photometric loss gives it a start.
#
#   python tools/train.py configs/basicvsr/basicvsr_small_x4.py --amp bf16
#
# The clips are any folder of clean videos: --cfg-options train_dataloader.dataset.roots=/my/clips
_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/schedule_cosine_small.py",
    "../_base_/small_clips.py",
]

_degradation = dict(type="BicubicDown", scale=4)

model = dict(
    type="RegressionRestorer",
    backbone=dict(
        type="BasicVSR",
        mid_channels=64,
        num_blocks=5,
        hr_channels=32,
        spynet=dict(type="SPyNet", num_levels=4, channels=(16, 32, 16, 8), kernel_size=5),
    ),
    pixel_loss=dict(type="CharbonnierLoss"),
    auxiliary_losses=dict(flow=dict(type="PhotometricFlowLoss", loss_weight=0.3)),
)

train_dataloader = dict(
    batch_size=4,
    dataset=dict(degradation=_degradation, frames=6, crop_px=160),
)
val_dataloader = dict(dataset=dict(degradation=_degradation, max_frames=6))

channels_last = True
optim_wrapper = dict(precision="bf16", optimizer=dict(lr=1e-3), clip_grad=dict(max_norm=0.5))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.05, begin=0, end=50),
    dict(type="CosineAnnealingLR", eta_min=1e-6, begin=50),
]
train_cfg = dict(max_iters=1800, val_interval=200)
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=100, max_keep_ckpts=1))
custom_hooks = [dict(type="EMAHook", momentum=0.005), dict(type="SampleImageHook", clips=3)]
