# RVRT x4 (10.8 million parameters); its three releases share it. Its weights are for non-commercial use only (CC
# BY-NC 4.0). The recipe of its training is not stated by the release.
model = dict(
    type="RegressionRestorer",
    backbone=dict(type="RVRT"),
    weights_licence="CC BY-NC 4.0 (non-commercial)",
)
