# RealBasicVSR after its first stage, without a discriminator; its threshold in the paper's tests is 1.5.
#
#   python tools/train.py configs/real_basicvsr/real_basicvsr_wogan.py
#
# trains that stage: pixel loss and cleaning loss, 300 000 iterations of Adam at 1e-4, on clips of 15 frames mirrored to
# 30 whose clean frames are sharpened, degraded by ../degradations/realbasicvsr.py; 16 clips a step, as its release is
# named. It is watched on REDS4 under bicubic degradation; the paper tests on VideoLQ.
_base_ = ["../_base_/default_runtime.py", "../_base_/reds_bix4.py", "../degradations/realbasicvsr.py"]

model = dict(
    type="RegressionRestorer",
    backbone=dict(
        type="RealBasicVSR",
        mid_channels=64,
        num_propagation_blocks=20,
        num_cleaning_blocks=20,
        dynamic_refine_thres=255,
        is_sequential_cleaning=True,
    ),
    pixel_loss=dict(type="L1Loss"),
    auxiliary_losses=dict(cleaning=dict(type="CleaningLoss")),
)

train_dataloader = dict(
    batch_size=16,
    dataset=dict(
        _delete_=True,
        type="ClipDataset",
        roots="{{$VRESTORE_DATASETS:data}}/REDS/train_sharp",
        exclude=["000", "011", "015", "020"],
        degradation={{_base_.degradation}},
        frames=15,
        crop_px=256,
        time_reverse=False,
        weighting="clips",
        transforms=[dict(type="UnsharpMask"), dict(type="MirrorExtend")],
    ),
)

_spynet = "https://download.openmmlab.com/mmediting/restorers/basicvsr/spynet_20210409-c6c1bd09.pth"
custom_hooks = [
    dict(type="EMAHook", momentum=0.001),
    dict(type="SampleImageHook", clips=4),
    dict(type="StartFromHook", parts={"backbone.basicvsr.spynet": _spynet}),
]
optim_wrapper = dict(type="AutocastOptimWrapper", optimizer=dict(type="Adam", lr=1e-4, betas=(0.9, 0.99)))
param_scheduler = []
train_cfg = dict(max_iters=300_000, val_interval=5_000)
