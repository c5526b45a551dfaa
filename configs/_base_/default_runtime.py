# What every training shares; a config replaces single entries.
default_scope = "vrestore"

default_hooks = dict(
    logger=dict(type="LogHook", interval=50),
    checkpoint=dict(type="SafeCheckpointHook", interval=1000, max_keep_ckpts=2, save_best="auto"),
)
custom_hooks = [
    dict(type="EMAHook", momentum=0.001),  # a running average over about 1000 steps; validated and shipped
    dict(type="SampleImageHook", clips=4),
]
visualizer = dict(type="Visualizer", vis_backends=[dict(type="TensorboardVisBackend")])
randomness = dict(seed=0)
