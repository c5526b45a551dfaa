# EDVR-M for BIx4 (3.3 million parameters), windows of 5 frames, trained on REDS, 32 windows a step: the recipe of
# MMagic's release.
_base_ = ["../_base_/edvr_600k.py"]

model = dict(
    type="SlidingWindowRestorer",
    backbone=dict(type="EDVR", mid_channels=64, num_frames=5, num_blocks_reconstruction=10),
    pixel_loss=dict(type="CharbonnierLoss"),
    padding="reflection_circle",
)
train_dataloader = dict(batch_size=32)
param_scheduler = [
    dict(
        type="CosineAnnealingRestartLR",
        periods=[50_000, 100_000, 150_000, 150_000, 150_000],
        restart_weights=[1, 1, 1, 1, 1],
        eta_min=1e-7,
    )
]
