# VEnhancer as its first release (2024-07) has it: the weights of the paper, and the VAE of Stable Diffusion 2.1.
#
#   vrestore restore in.mp4 out.mp4 --config configs/venhancer/venhancer_v1.py --prompt "a reef"
#
# The files lie where venhancer_full.py has them, under the names venhancer_paper.pt, v2-1_512-ema-pruned.ckpt and
# open_clip_pytorch_model.bin ('vrestore zoo venhancer-v1' says where to get them).
_base_ = ["venhancer_full.py"]
import os  # noqa: E402

_files = os.environ.get("VENHANCER_WEIGHTS", "weights")

model = dict(
    autoencoder=dict(_delete_=True, type="SDVAE"),
    weights=dict(
        backbone=os.path.join(_files, "venhancer_paper.pt"),
        autoencoder=os.path.join(_files, "v2-1_512-ema-pruned.ckpt"),
    ),
    release="v1",
)
