# The recipe of VEnhancer's paper (arXiv 2407.07667, sections 3 and 4): the UNet frozen, the ControlNet trained from a
# copy of its encoder and middle block, on 720 x 1280 centre crops at 24 frames per second, 256 clips a step on 16
# devices.
#
#   torchrun --nnodes=2 --nproc_per_node=8 … tools/train.py configs/venhancer/venhancer_train_720p.py \
#       --cfg-options train_dataloader.dataset.roots=/my/clips
#
# Clips of another size than 720 x 1280 are cut in the middle, smaller ones are left out. A text file beside a clip
# (reef.mp4, reef.txt) is its prompt. The paper leaves open how many frames a clip has and how many steps there were: 32
# is the release's setting, the steps and the average of the weights are ours. Before the first step the run tells what
# memory it takes; `python tools/benchmarks/venhancer_training_memory.py` foresees it for other settings.
#
# To go on from VEnhancer's own weights instead of those of the UNet that the paper starts from:
#   --cfg-options model.weights.unet=None model.weights.backbone=venhancer_paper.pt
_base_ = ["venhancer_full.py", "../_base_/default_runtime.py"]
import os  # noqa: E402

_folder = os.environ.get("VENHANCER_WEIGHTS", "weights")

model = dict(
    backbone=dict(gradient_checkpointing=True, chunk_tokens=None),
    weights=dict(
        backbone=None,
        unet=dict(
            file=os.path.join(_folder, "non_ema_0035000.pth")
        ),  # ModelScope's Video-to-Video (iic/Video-to-Video)
    ),
    defer_weights=False,
    dtype=None,
    training=dict(trainable="controlnet", text_dropout=0.1),
)

train_dataloader = dict(
    batch_size=1,  # of one process; x 16 processes x 16 accumulated = 256
    num_workers=8,
    persistent_workers=True,
    pin_memory=False,
    collate_fn=dict(type="clip_collate", ragged=["lq"]),
    dataset=dict(
        type="ClipDataset",
        roots="data/clips",
        degradation=dict(type="SpaceTimeDown", downscale=(1, 8), key_frame_stride=(1, 8), noise_level=(1, 300)),
        frames=32,
        fps=24,
        crop_px=(720, 1280),
        crop="centre",
        captions=True,
        flip=False,
        transpose=False,
        time_reverse=False,
        weighting="clips",
        too_small="skip",
    ),
)

strategy = dict(type="FSDPStrategy")
optim_wrapper = dict(
    type="AutocastOptimWrapper",
    precision="bf16",
    accumulative_counts=16,
    optimizer=dict(type="AdamW", lr=1e-5, betas=(0.9, 0.999), weight_decay=0.0),
    clip_grad=dict(max_norm=1.0),
)
train_cfg = dict(max_iters=64_000)  # 4 000 steps of 16 iterations
default_hooks = dict(logger=dict(interval=16), checkpoint=dict(interval=1_600, max_keep_ckpts=2, save_best=None))
custom_hooks = [dict(type="TrainedEMAHook", momentum=0.001)]
