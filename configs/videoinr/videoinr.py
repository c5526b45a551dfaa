# VideoINR: any scale in space and time. Its weights state no licence. The recipe of its training is not repeated
# here: it needs training clips with frames left out, which this project does not have yet.
model = dict(
    type="SpaceTimeRestorer",
    backbone=dict(type="VideoINR"),
    weights_licence="none stated",
)
