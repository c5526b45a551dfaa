"""The standard deviations that a VEnhancer on wavelets is configured with, measured on its training clips.

    python tools/latent_statistics.py configs/venhancer/venhancer_tiny_train.py [--samples 200]

Prints `band_std` of the autoencoder and, for latents divided by it, `residual_std` of the model, as lines for a config.
The clips, crops and degradation are those that the config trains on.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", help="a training config whose model is a VEnhancer with a WaveletAutoencoder")
    parser.add_argument("--samples", type=int, default=200, help="training windows to measure")
    parser.add_argument(
        "--power", type=float, default=0.75, help="of the bands' deviations: 1 brings all to one height"
    )
    parser.add_argument("--keep-bands", action="store_true", help="residual_std with the config's own band_std")
    parser.add_argument(
        "--cfg-options", nargs="+", default=[], metavar="KEY=VALUE", help="override the config's values"
    )
    arguments = parser.parse_args()

    import torch
    from rich.console import Console
    from rich.progress import track

    from vrestore.config import load_config
    from vrestore.errors import VRestoreError
    from vrestore.registry import DATASETS, MODELS
    from vrestore.restorers.venhancer.statistics import as_config, band_std, residual_std

    console = Console(stderr=True)
    try:
        cfg = load_config(arguments.config, arguments.cfg_options)
        model_cfg, dataset = cfg.model.to_dict(), DATASETS.build(cfg.train_dataloader.dataset.to_dict())

        def samples(what: str) -> Iterator[dict]:
            return (dataset[i] for i in track(range(arguments.samples), what, console=console))

        with torch.no_grad():
            if not arguments.keep_bands:
                values = band_std(MODELS.build(model_cfg), samples("band_std"), arguments.power)
                model_cfg["autoencoder"]["band_std"] = values
                print(as_config("band_std", values))
            print(as_config("residual_std", residual_std(MODELS.build(model_cfg), samples("residual_std"))))
    except VRestoreError as error:
        print(f"latent_statistics: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
