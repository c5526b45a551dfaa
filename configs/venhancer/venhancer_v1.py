# VEnhancer as its first release (2024-07) has it: the weights of the paper, and the VAE of Stable Diffusion 2.1.
#
#   vrestore restore in.mp4 out.mp4 --config configs/venhancer/venhancer_v1.py --prompt "a reef"
#
# The files are looked for where venhancer_full.py looks for its own; the VAE has to be put there by hand.
_base_ = ["venhancer_full.py"]
import os  # noqa: E402

_files = os.environ.get("VENHANCER_WEIGHTS", "weights")

model = dict(
    autoencoder=dict(_delete_=True, type="SDVAE"),
    weights=dict(
        backbone=dict(
            file=os.path.join(_files, "venhancer_paper.pt"),
            url="https://huggingface.co/jwhejwhe/VEnhancer/resolve/main/venhancer_paper.pt",
        ),
        autoencoder=dict(_delete_=True, file=os.path.join(_files, "v2-1_512-ema-pruned.ckpt")),
    ),
    release="v1",
)
