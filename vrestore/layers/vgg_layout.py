"""Where what lies in a VGG (Simonyan and Zisserman, ICLR 2015), by torchvision's numbers."""

from __future__ import annotations

from vrestore.errors import ConfigError

CONVS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}  # of each block; a 2x2 maximum ends it


def blocks_of(vgg_type: str) -> tuple[int, ...]:
    """How many convolutions each block has.

    Raises:
        ConfigError: an unknown type.
    """
    if vgg_type not in CONVS:
        raise ConfigError(f"vgg_type must be one of {', '.join(CONVS)}, got {vgg_type!r}")
    return CONVS[vgg_type]


def layer_numbers(vgg_type: str) -> dict[str, int]:
    """The number in ``features`` of every layer by its usual name: ``conv5_4``, ``relu5_4``, ``pool5``."""
    names: list[str] = []
    for block, convs in enumerate(blocks_of(vgg_type), 1):
        for conv in range(1, convs + 1):
            names += [f"conv{block}_{conv}", f"relu{block}_{conv}"]
        names.append(f"pool{block}")
    return {name: number for number, name in enumerate(names)}
