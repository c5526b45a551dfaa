# VEnhancer tiny, UNet and ControlNet trained together from nothing: for two CPU cores, or minutes of a GPU.
#
#   python tools/train.py configs/venhancer/venhancer_tiny_train.py --amp bf16
#
# crop_px must be legal for the network: with 4 pixels to a latent and 2 halvings a height of 16k + 8, a width of 16k.
_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/schedule_cosine_small.py",
    "../_base_/small_clips.py",
    "venhancer_tiny.py",
]

model = dict(
    untrained=False,
    residual_kernel="bilinear",
    backbone=dict(dropout=0.0),  # so few weights do not overfit
    training=dict(trainable="all", open_ways=5.0, strength=(0, 300)),
)

train_dataloader = dict(
    batch_size=4,
    collate_fn=dict(type="clip_collate", ragged=["lq"]),  # each clip has its own scale and number of key frames
    dataset=dict(
        degradation=dict(
            type="SpaceTimeDown", downscale=(2, 6), key_frame_stride=(1, 2), noise_level=(0, 300), whole_intervals=True
        ),
        frames=9,
        crop_px=(104, 112),
        shrink=(1.0, 2.0),
        transpose=False,  # the network takes no square of pixels: heights and widths have other rules
    ),
)
val_dataloader = dict(  # on whose clips, which are never trained on, gain and contrast were set
    dataset=dict(
        degradation=dict(type="BicubicDown", scale=4),
        max_frames=5,
        crop_to=(208, 320),  # restoring generates: whole frames would take longer than the training between
    ),
)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.05, begin=0, end=100),
    dict(type="CosineAnnealingLR", eta_min=1e-6, begin=100),
]
train_cfg = dict(max_iters=1700, val_interval=850)
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=200, max_keep_ckpts=1))
custom_hooks = [
    dict(type="TrainedEMAHook", momentum=0.004),
    dict(type="SampleImageHook", clips=3),
]
