# The schedule that recurrent video super-resolution is usually trained with: Adam, cosine over 300 000 iterations,
# and a pretrained flow network that learns at an eighth of the rate. To keep it as it is at first, add
# dict(type="FreezeHook", names="backbone.spynet", iters=5_000) to custom_hooks.
optim_wrapper = dict(
    type="AutocastOptimWrapper",
    optimizer=dict(type="Adam", lr=2e-4, betas=(0.9, 0.99)),
    paramwise_cfg=dict(custom_keys={"spynet": dict(lr_mult=0.125)}),
)
param_scheduler = [dict(type="CosineAnnealingLR", eta_min=1e-7)]
train_cfg = dict(max_iters=300_000, val_interval=5_000)
