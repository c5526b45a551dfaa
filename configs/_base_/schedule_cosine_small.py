# A short schedule for small networks and modest machines: linear warm-up, then cosine to the end of the run.
# A config that changes max_iters needs to change nothing else: the cosine ends where the run ends.
optim_wrapper = dict(
    type="AutocastOptimWrapper",
    optimizer=dict(type="AdamW", lr=5e-4, betas=(0.9, 0.99), weight_decay=0.0),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.05, begin=0, end=200),
    dict(type="CosineAnnealingLR", eta_min=1e-6, begin=200),
]
train_cfg = dict(max_iters=10_000, val_interval=500)
