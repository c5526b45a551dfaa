# RIFE as in its paper, told the time (RIFE_m). Its training distils from a teacher within the network, a loss which
# this project does not have; so there is none here.
model = dict(
    type="InterpolationRestorer",
    backbone=dict(type="IFNet", arbitrary_time=True),
)
