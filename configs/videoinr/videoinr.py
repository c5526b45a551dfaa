# VideoINR: any scale in space and time. Its weights state no licence. There is no training here: its recipe is not
# known in full. Clips with frames left out are made by SpaceTimeDown.
model = dict(
    type="SpaceTimeRestorer",
    backbone=dict(type="VideoINR"),
    weights_licence="none stated",
)
