# IconVSR for BDx4, trained on Vimeo-90K in septuplets mirrored to 14 frames: the recipe of MMagic's release.
#
# Beside the flow network the release starts from a pretrained EDVR extractor ('vrestore zoo iconvsr-reds4', "also"):
# given by hand, dict(type="StartFromHook", parts={"backbone.edvr": FILE}) takes it; and it is frozen with the flow
# network.
_base_ = ["../_base_/recurrent_300k.py", "../_base_/vimeo90k_bdx4.py"]

model = dict(
    type="RegressionRestorer",
    backbone=dict(type="IconVSR", mid_channels=64, num_blocks=30, keyframe_stride=5, padding=3),
    pixel_loss=dict(type="CharbonnierLoss"),
)
