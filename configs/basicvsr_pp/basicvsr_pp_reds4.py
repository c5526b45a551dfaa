# BasicVSR++ for BIx4, trained on REDS in clips of 30 frames over 600 000 iterations: the recipe of MMagic's release.
_base_ = ["../_base_/recurrent_300k.py", "../_base_/reds_bix4.py"]

model = dict(
    type="RegressionRestorer",
    backbone=dict(type="BasicVSRPlusPlus", mid_channels=64, num_blocks=7),
    pixel_loss=dict(type="CharbonnierLoss"),
)
train_dataloader = dict(dataset=dict(frames=30))
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={"spynet": dict(lr_mult=0.25)}))
train_cfg = dict(max_iters=600_000)
