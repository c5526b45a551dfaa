# VEnhancer at its official size: 2.04 billion parameters, with the VAE and the text tower that its release uses.
#
#   vrestore restore in.mp4 out.mp4 --config configs/venhancer/venhancer_full.py --prompt "a reef"
#
# The weights are not part of this project, and the terms of VEnhancer's are not stated by its release. Each is taken
# from the folder that $VENHANCER_WEIGHTS names (./weights where it names none) under the name below where it is there,
# else downloaded once (12 GB in all; the VAE's repository wants its terms to be accepted first, so get that by hand).
# A path or an address alone will do as well: --cfg-options model.weights.backbone=venhancer_paper.pt
_base_ = []  # builds on none; it tells MMEngine to read the import below as plain Python
import os  # noqa: E402

_folder = os.environ.get("VENHANCER_WEIGHTS", "weights")
_hub = "https://huggingface.co"

model = dict(
    type="VEnhancer",
    backbone=dict(type="UNet3D", adapter=dict(type="VideoControlNet")),
    autoencoder=dict(type="TemporalVAE"),
    text=dict(type="OpenCLIPText"),
    # `sha256` beside `url` and `file`, all of its digits or the first ones, refuses any other file.
    weights=dict(
        backbone=dict(  # or venhancer_paper.pt, that of the paper
            file=os.path.join(_folder, "venhancer_v2.pt"),
            url=f"{_hub}/jwhejwhe/VEnhancer/resolve/main/venhancer_v2.pt",
        ),
        autoencoder=dict(
            file=os.path.join(_folder, "svd_vae.safetensors"),
            url=f"{_hub}/stabilityai/stable-video-diffusion-img2vid/resolve/main/vae/"
            "diffusion_pytorch_model.fp16.safetensors",
        ),
        text=dict(
            file=os.path.join(_folder, "open_clip_pytorch_model.bin"),
            url=f"{_hub}/laion/CLIP-ViT-H-14-laion2B-s32B-b79K/resolve/main/open_clip_pytorch_model.bin",
        ),
    ),
    defer_weights=True,
    dtype="bf16",
    release="v2",
    weights_licence="none stated",
)
