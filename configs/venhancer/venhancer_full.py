# VEnhancer at its official size: 2.04 billion parameters, with the VAE and the text tower that its release uses.
#
#   vrestore restore in.mp4 out.mp4 --config configs/venhancer/venhancer_full.py --prompt "a reef"
#
# The weights are not part of this project. Put these files into the folder that $VENHANCER_WEIGHTS names (./weights
# where it names none), or give paths with --cfg-options model.weights.backbone=… :
#
#   venhancer_v2.pt                 (or venhancer_paper.pt)  https://huggingface.co/jwhejwhe/VEnhancer
#   svd_vae.safetensors             the folder vae of stabilityai/stable-video-diffusion-img2vid
#   open_clip_pytorch_model.bin     laion/CLIP-ViT-H-14-laion2B-s32B-b79K
_base_ = []  # builds on none; it tells MMEngine to read the import below as plain Python
import os  # noqa: E402

_folder = os.environ.get("VENHANCER_WEIGHTS", "weights")

model = dict(
    type="VEnhancer",
    backbone=dict(type="UNet3D", adapter=dict(type="VideoControlNet")),
    autoencoder=dict(type="TemporalVAE"),
    text=dict(type="OpenCLIPText"),
    weights=dict(
        backbone=os.path.join(_folder, "venhancer_v2.pt"),
        autoencoder=os.path.join(_folder, "svd_vae.safetensors"),
        text=os.path.join(_folder, "open_clip_pytorch_model.bin"),
    ),
    defer_weights=True,
    dtype="bf16",
    release="v2",
    weights_licence="none stated",
)
