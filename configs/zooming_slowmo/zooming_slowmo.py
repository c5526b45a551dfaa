# Zooming Slow-Mo: x4 in space and x2 in time at once. Its weights are under GPL-3.0. There is no training here: its
# recipe is not known in full. Clips with frames left out are made by SpaceTimeDown.
model = dict(
    type="SpaceTimeRestorer",
    backbone=dict(type="ZoomingSlowMo", mid_channels=64, deform_groups=8, front_blocks=5, back_blocks=40),
    weights_licence="GPL-3.0",
)
