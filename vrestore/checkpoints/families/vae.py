"""VAEs of latent diffusion: Stable Diffusion's in the names of LDM or of diffusers, the temporal one, the tiny one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from vrestore.autoencoders.temporal_vae import OFFICIAL
from vrestore.checkpoints.architectures import Architecture, count, register_architecture
from vrestore.checkpoints.files import StateDict
from vrestore.errors import MissingDependencyError
from vrestore.registry import AUTOENCODERS

FIRST_STAGE = "first_stage_model."  # where a whole diffusion checkpoint keeps its VAE
LDM = re.compile(r"^(encoder\.down|decoder\.up)\.\d+\.")
KEYWORDS = {"scale_factor": 0.18215, "encode_tiling": None}

RULES = (
    (r"\.down\.(\d+)\.block\.(\d+)\.", r".down_blocks.\1.resnets.\2."),
    (r"\.down\.(\d+)\.downsample\.", r".down_blocks.\1.downsamplers.0."),
    (r"\.up\.(\d+)\.block\.(\d+)\.", r".up_blocks.\1.resnets.\2."),
    (r"\.up\.(\d+)\.upsample\.", r".up_blocks.\1.upsamplers.0."),
    (r"\.mid\.block_1\.", ".mid_block.resnets.0."),
    (r"\.mid\.block_2\.", ".mid_block.resnets.1."),
    (r"\.mid\.attn_1\.", ".mid_block.attentions.0."),
    (r"\.nin_shortcut\.", ".conv_shortcut."),
    (r"\.norm_out\.", ".conv_norm_out."),
)
# Two generations of names within the attention: LDM's, and diffusers' before 0.17.
ATTENTION = {
    **{"norm": "group_norm", "q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0"},
    **{"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"},
}
ATTENTION_NAME = re.compile(r"(\.mid_block\.attentions\.0\.)([a-z_]+)(\.(?:weight|bias))$")
PROJECTION = re.compile(r"\.mid_block\.attentions\.0\.to_(q|k|v|out\.0)\.weight$")


class _VAE(Architecture):
    """A VAE: its names follow rules that need the number of levels, and some of its weights another shape."""

    def rename(self, state_dict: Mapping[str, Tensor]) -> StateDict:
        inside = {n.removeprefix(FIRST_STAGE): v for n, v in state_dict.items() if n.startswith(FIRST_STAGE)}
        state = inside or dict(state_dict)
        highest = count(state, r"decoder\.up\.(\d+)\.") - 1
        ldm = any(LDM.match(name) for name in state)
        renamed = {}
        for name, value in state.items():
            if self.others is not None and re.search(self.others, name):
                continue
            name = _to_diffusers(name, highest) if ldm else name
            name = ATTENTION_NAME.sub(lambda m: m[1] + ATTENTION.get(m[2], m[2]) + m[3], name)
            # 1 x 1 convolutions of old are linear layers now.
            renamed[name] = value[:, :, 0, 0] if PROJECTION.search(name) and value.ndim == 4 else value
        return renamed

    def likely_shapes(self, renamed: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
        if not any(name.startswith(("encoder.", "decoder.")) for name in renamed):
            return {}  # nothing like it: no need to import diffusers
        try:
            return super().likely_shapes(renamed)
        except MissingDependencyError:
            return {}


def _to_diffusers(name: str, highest: int) -> str:
    for pattern, replacement in RULES:
        name = re.sub(pattern, replacement, name)
    # LDM numbers the decoder's levels from the largest frames on, diffusers from the smallest.
    return re.sub(r"^decoder\.up_blocks\.(\d+)\.", lambda m: f"decoder.up_blocks.{highest - int(m[1])}.", name)


def _infer(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    levels = count(weights, r"encoder\.down_blocks\.(\d+)\.")
    first = "encoder.down_blocks.{}.resnets.0.conv1.weight"
    return {
        "block_out_channels": tuple(weights[first.format(level)].shape[0] for level in range(levels)),
        "layers_per_block": count(weights, r"encoder\.down_blocks\.0\.resnets\.(\d+)\."),
        "latent_channels": weights["decoder.conv_in.weight"].shape[1],
    }


def _infer_tiny(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    return {
        "channels": weights["encoder.layers.0.weight"].shape[0],
        "latent_channels": weights["decoder.layers.0.weight"].shape[1],
    }


def _is_kl(names: Mapping[str, Tensor]) -> bool:
    return {"encoder.conv_in.weight", "decoder.conv_in.weight", "quant_conv.weight"} <= names.keys()


register_architecture(
    _VAE(
        name="LDM VAE",
        backbone="SDVAE",
        detect=lambda names: _is_kl(names) and "decoder.time_conv_out.weight" not in names,
        infer=_infer,
        keywords={**KEYWORDS, "norm_num_groups": 32, "tiling": None, "frames_per_call": 1},
        others=r"^(loss|model_ema)\.",
        registry=AUTOENCODERS,
    )
)

register_architecture(
    _VAE(
        name="temporal VAE",
        backbone="TemporalVAE",
        detect=lambda names: _is_kl(names) and "decoder.time_conv_out.weight" in names,
        infer=_infer,
        keywords={**KEYWORDS, "tiling": OFFICIAL},
        registry=AUTOENCODERS,
    )
)

register_architecture(
    _VAE(
        name="tiny VAE",
        backbone="TinyVAE",
        detect=lambda names: {"encoder.layers.0.weight", "decoder.layers.0.weight"} <= names.keys(),
        infer=_infer_tiny,
        keywords={
            **{"encoder_blocks": (1, 3, 3, 3), "decoder_blocks": (3, 3, 3, 1)},
            **{"scale_factor": 1.0, "tiling": None, "encode_tiling": None},
        },
        registry=AUTOENCODERS,
    )
)
