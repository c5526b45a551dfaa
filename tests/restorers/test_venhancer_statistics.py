"""The deviations that a VEnhancer on wavelets is configured with."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from tests.contract.tiny import RESTORERS
from tests.data.media import moving_texture, write_folder
from tests.paths import ROOT
from vrestore.degradations import SpaceTimeDown
from vrestore.errors import DataError
from vrestore.registry import MODELS
from vrestore.restorers.venhancer.residual import Residual
from vrestore.restorers.venhancer.statistics import Deviation, as_config, band_std, residual_std
from vrestore.restorers.venhancer.training import encode_clips, encode_keys, generator_of

pytest.importorskip("torchsde")


def tiny(**changes):
    return MODELS.build({**RESTORERS["VEnhancer"], **changes})


def windows(count=3):
    degradation = SpaceTimeDown(downscale=(2, 4), key_frame_stride=(1, 2))
    for seed in range(count):
        hq = torch.rand(5, 3, 32, 40, generator=torch.Generator().manual_seed(seed))
        lq, record = degradation(hq, np.random.default_rng(seed))
        yield {"lq": lq, "hq": hq, "record": {**record, "seed": seed}}


def test_a_deviation_is_that_of_all_values_together():
    parts = [torch.randn(4, n, 3) * torch.tensor([1.0, 2, 3, 4])[:, None, None] + 7 for n in (2, 5, 9)]
    height = Deviation()
    for part in parts:
        height.add(part)
    expected = torch.cat(parts, 1).flatten(1).double().std(1, correction=0)
    torch.testing.assert_close(height.value(), expected)
    with pytest.raises(DataError, match="no clip"):
        Deviation().value()


def test_bands_come_to_one_height():
    autoencoder = {"type": "WaveletAutoencoder", "levels": 1, "band_std": [0.1 * (i + 1) for i in range(12)]}
    measured = band_std(tiny(autoencoder=autoencoder), windows(), power=1)
    levelled = tiny(autoencoder={**autoencoder, "band_std": measured})
    assert band_std(levelled, windows(), power=1) == pytest.approx(measured)  # whatever the config had
    height = Deviation()
    for sample in windows():
        height.add(levelled.autoencoder.encode(sample["hq"])[0])
    assert height.value().tolist() == pytest.approx([levelled.autoencoder.scale_factor] * 12, rel=1e-5)
    assert band_std(levelled, windows(), power=0) == [1.0] * 12


def test_what_the_key_frames_lack_comes_to_unit_variance():
    model = tiny()
    residual = Residual(residual_std(model, windows()), model.autoencoder.latent_channels)
    height = Deviation()
    for sample in windows():
        draws = [generator_of(sample["record"])]
        latents = encode_clips(model, sample["hq"][None], draws)
        keys = encode_keys(model, [sample["lq"]], sample["hq"].shape[-2:], draws)
        index = torch.full((5,), -1)
        index[sample["record"]["key_frames"]] = torch.arange(len(sample["lq"]))
        height.add(residual.lacking(latents[0], Residual.base(keys[0], index)))
    assert height.value().tolist() == pytest.approx([1] * model.autoencoder.latent_channels, rel=1e-4)


def test_the_tool_prints_lines_for_a_config(tmp_path):
    write_folder(tmp_path / "clip", moving_texture(9, 112, 128))
    command = [sys.executable, ROOT / "tools" / "latent_statistics.py", "configs/venhancer/venhancer_tiny_train.py"]
    options = [f"train_dataloader.dataset.roots={tmp_path}", "train_dataloader.dataset.exclude=[]"]
    options += ["train_dataloader.dataset.cache=None"]
    run = subprocess.run(
        [*command, "--samples", "2", "--cfg-options", *options], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    first, second = run.stdout.splitlines()
    assert first.startswith("band_std=[")
    assert second.startswith("residual_std=[")
    assert len(first.split(",")) == len(second.split(",")) == 24 + 1
    assert as_config("x", [0.25, 1]) == "x=[0.250, 1.000],"
