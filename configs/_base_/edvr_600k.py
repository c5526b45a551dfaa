# How EDVR is trained on REDS in windows of 5 frames: 600 000 iterations of Adam, its rate falling by cosines with three
# restarts at half the rate; the release averages no weights. (It sums the loss over pixels, which Adam does not feel.)
_base_ = ["default_runtime.py", "reds_bix4.py"]

train_dataloader = dict(batch_size=64, dataset=dict(frames=5))
custom_hooks = [dict(type="SampleImageHook", clips=4)]
optim_wrapper = dict(type="AutocastOptimWrapper", optimizer=dict(type="Adam", lr=2e-4, betas=(0.9, 0.999)))
param_scheduler = [
    dict(
        type="CosineAnnealingRestartLR",
        periods=[150_000, 150_000, 150_000, 150_000],
        restart_weights=[1, 0.5, 0.5, 0.5],
        eta_min=1e-7,
    )
]
train_cfg = dict(max_iters=600_000, val_interval=5_000)
