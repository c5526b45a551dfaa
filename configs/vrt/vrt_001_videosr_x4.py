# VRT x4 in clips of 6 frames (30.7 million parameters). Its weights are for non-commercial use only (CC BY-NC 4.0).
# The recipe of its training is not stated by the release.
model = dict(
    type="RegressionRestorer",
    backbone=dict(type="VRT"),
    weights_licence="CC BY-NC 4.0 (non-commercial)",
)
