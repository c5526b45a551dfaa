# RIFE as in its paper: the middle of two frames. Its training distils from a teacher within the network, a loss which
# this project does not have; so there is none here.
model = dict(
    type="InterpolationRestorer",
    backbone=dict(type="IFNet"),
)
