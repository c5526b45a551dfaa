"""Imports run one way, as docs/architecture.md draws them, and there is no circle."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1] / "vrestore"

# A room may import rooms of a lower storey, its own files, and those named in SAME_STOREY.
STOREYS = [
    {"errors", "memory", "disk", "version", "_compat", "_lazy"},
    {"plugins"},
    {"registry", "video", "layers"},
    {"degradations"},
    {"losses", "diffusion", "samplers", "autoencoders", "adapters", "backbones"},
    {"restorers"},
    {"config"},
    {"checkpoints", "data"},
    {"inference", "evaluation", "engine"},
    {"cli"},
    {"__main__", "__init__"},
]
SAME_STOREY = {("backbones", "adapters"), ("samplers", "diffusion"), ("diffusion", "samplers")}


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else "__init__"


def imports(path: Path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            for alias in node.names if node.module == "vrestore" else ():
                yield f"vrestore.{alias.name}"
            if node.module != "vrestore":
                yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_arrows_run_one_way(path):
    height = {name: i for i, storey in enumerate(STOREYS) for name in storey}
    parts = path.relative_to(ROOT).with_suffix("").parts
    here = parts[0]
    assert here in height, f"{here} has no storey in docs/architecture.md"
    for module in imports(path):
        if not module.startswith("vrestore"):
            continue
        there = room(module)
        allowed = there == here or height[there] < height[here] or (here, there) in SAME_STOREY
        assert allowed, f"vrestore/{'/'.join(parts)}.py imports {module}: against the arrows"


@pytest.mark.parametrize("registry", ["MODELS", "BACKBONES", "DEGRADATIONS", "DATASETS", "LOSSES", "METRICS", "HOOKS"])
def test_registries_find_their_folders(registry):
    import vrestore.registry as page

    entry = getattr(page, registry)
    entry.import_from_location()
    assert entry.module_dict
