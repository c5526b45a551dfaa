# RIFE 4.22.lite: frames between frames, at any time. Its release brings weights only; no recipe of the training is
# stated.
model = dict(
    type="InterpolationRestorer",
    backbone=dict(type="RIFE", version="4.22.lite"),
)
