"""Which modules each command imports: a command imports no package that it does not use."""

import json
import subprocess
import sys

import pytest
import torch

from vrestore.video import VideoWriter

# Imports the command and writes the names of all loaded modules to stdout's last line.
PROBE = """
import json, sys
from vrestore.cli import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
print()
print(json.dumps(sorted(sys.modules)))
"""

# Packages that take long to import, and are not part of `import torch`.
HEAVY = {
    *("cv2", "diffusers", "lpips", "matplotlib", "mmcv", "onnx", "onnxruntime", "open_clip", "pandas", "scipy"),
    *("skimage", "spandrel", "sympy", "tensorboard", "torchvision", "transformers", "webdataset"),
    *("torch.distributed.fsdp", "torch.distributed.optim", "torch.distributed.tensor"),
    *("mmengine.hooks", "mmengine.model", "mmengine.optim", "mmengine.runner", "mmengine.visualization"),
    *("vrestore.data", "vrestore.engine", "vrestore.evaluation", "vrestore.losses"),
}
COMPUTES = {"torch", "av", "PIL", "vrestore.restorers", "vrestore.backbones", "vrestore.video"}


def imported(*arguments: str) -> set[str]:
    """Names of the modules that a command has imported when it ends."""
    done = subprocess.run([sys.executable, "-c", PROBE, *arguments], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("arguments", [["--help"], ["restore", "--help"], ["train", "--help"], ["--version"]])
def test_help_imports_no_package(arguments):
    forbidden = HEAVY | COMPUTES | {"mmengine", "numpy", "rich", "yaml", "yapf"}
    assert not imported(*arguments) & forbidden


@pytest.mark.parametrize("arguments", [["zoo"], ["zoo", "basicvsr-reds4"], ["zoo", "rife", "--json"]])
def test_zoo_is_read_as_data(arguments):
    assert not imported(*arguments) & (HEAVY | COMPUTES)


def test_restoring_imports_no_training_code_and_no_other_method(tmp_path):
    with VideoWriter(tmp_path / "in.mp4", fps=25) as writer:
        writer.write(torch.rand(1, 3, 32, 32))
    modules = imported("restore", str(tmp_path / "in.mp4"), str(tmp_path / "out.mp4"), "--model", "bicubic")
    assert (tmp_path / "out.mp4").is_file()
    assert not modules & HEAVY
    methods = {name for name in modules if name.startswith(("vrestore.restorers.", "vrestore.diffusion"))}
    assert methods == {
        f"vrestore.restorers.{name}" for name in ("base", "capabilities", "request", "resample", "runner_model")
    }


@pytest.mark.parametrize("package", ["vrestore", "vrestore.restorers", "vrestore.backbones", "vrestore.degradations"])
def test_lazy_packages_export_what_they_declare(package):
    module = __import__(package, fromlist=["HOMES"])
    assert set(module.HOMES) | {"__version__"} == set(module.__all__) | {"__version__"}
    for name in module.HOMES:
        assert getattr(module, name).__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = module.nothing
