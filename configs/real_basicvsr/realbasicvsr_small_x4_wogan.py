# A small RealBasicVSR for real-world videos, x4, made for two CPU cores: its first stage, without a discriminator.
#
#   python tools/train.py configs/real_basicvsr/realbasicvsr_small_x4_wogan.py --amp bf16
#
# Its BasicVSR begins with the first three residual blocks a direction of the small one for clean videos. Clips are
# sharpened and then degraded by ../degradations/realbasicvsr.py, real codecs included. The second stage is
# realbasicvsr_small_x4.py.
_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/schedule_cosine_small.py",
    "../_base_/small_clips.py",
    "../degradations/realbasicvsr.py",
]

model = dict(
    type="RegressionRestorer",
    backbone=dict(
        type="RealBasicVSR",
        mid_channels=64,
        num_propagation_blocks=3,
        num_cleaning_blocks=2,
        hr_channels=32,
        spynet=dict(type="SPyNet", num_levels=4, channels=(16, 32, 16, 8), kernel_size=5),
    ),
    pixel_loss=dict(type="CharbonnierLoss"),
    auxiliary_losses=dict(cleaning=dict(type="CleaningLoss")),
    chunk_overlap_frames=8,
    chunk_drift_db=59.0,  # of what ships; the worst of the clips in its card is 59.4
    weights_licence="Apache-2.0",
)

train_dataloader = dict(
    batch_size=2,
    dataset=dict(
        degradation={{_base_.degradation}},
        frames=8,
        crop_px=160,
        shrink=(1.0, 2.5),
        transforms=[dict(type="UnsharpMask")],
    ),
)
val_dataloader = dict(dataset=dict(degradation={{_base_.degradation}}, max_frames=6))
val_evaluator = [dict(type="PSNR", convert_to="Y"), dict(type="NIQE")]

channels_last = True
optim_wrapper = dict(optimizer=dict(lr=5e-4), clip_grad=dict(max_norm=0.5))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.05, begin=0, end=50),
    dict(type="CosineAnnealingLR", eta_min=1e-6, begin=50),
]
train_cfg = dict(max_iters=700, val_interval=350)
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=100, max_keep_ckpts=1))
custom_hooks = [
    dict(type="EMAHook", momentum=0.01),
    dict(type="SampleImageHook", clips=3),
    dict(
        type="StartFromHook",
        parts={"backbone.basicvsr": "model_zoo/basicvsr_small_x4/basicvsr_small_x4.safetensors"},
        leave_out=["*_resblocks.main.2.[34].*"],
    ),
]
