# BasicVSR++ for BDx4, trained on Vimeo-90K in septuplets mirrored to 14 frames: the recipe of MMagic's release.
_base_ = ["../_base_/recurrent_300k.py", "../_base_/vimeo90k_bdx4.py"]

model = dict(
    type="RegressionRestorer",
    backbone=dict(type="BasicVSRPlusPlus", mid_channels=64, num_blocks=7),
    pixel_loss=dict(type="CharbonnierLoss"),
)
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={"spynet": dict(lr_mult=0.25)}))
