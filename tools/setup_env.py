"""Make or reuse a virtual environment and install vrestore into it from constraints.txt (standard library only).

    python3 tools/setup_env.py VENV [EXTRA ...]

A torch that the environment already has (a CUDA build, say) is kept: only the other packages are held to the versions
of constraints.txt. A second run with nothing changed does nothing.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
KEPT = ("torch", "torchvision", "triton")  # belong together: who brings torch brings the others


def main() -> int:
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        print(__doc__)
        return 2
    folder, extras = Path(sys.argv[1]), sorted(sys.argv[2:])
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        if sys.version_info < (3, 10):  # noqa: UP036  (this file is run by whatever python3 is there)
            print(f"setup: Python 3.10 or newer is needed, this is {sys.version.split()[0]}", file=sys.stderr)
            return 2
        print(f"setup: creating {folder}", flush=True)
        venv.create(folder, with_pip=True)

    stamp = folder / f".vrestore-{_fingerprint(extras)}"
    if stamp.exists():
        return 0
    torch = _installed_torch(python)
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    if torch:
        print(f"setup: keeping torch {torch} of {folder}", flush=True)
        lines = [line for line in lines if re.split(r"[=<>~\[ ]", line)[0] not in KEPT]
    target = f"{ROOT}[{','.join(extras)}]" if extras else str(ROOT)
    print(f"setup: installing vrestore with {', '.join(extras) or 'no extras'} (once; a minute or two)", flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        constraints = Path(temporary) / "constraints.txt"
        constraints.write_text("\n".join(lines) + "\n", encoding="utf-8")
        pinned = [line for line in lines if re.match(r"(torch|numpy|setuptools|wheel)==", line)]
        command = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", "-c", str(constraints)]
        result = subprocess.run([*command, *pinned, "-e", target], check=False)
    if result.returncode:
        print("setup: pip failed; its own message stands above", file=sys.stderr)
        return result.returncode
    for old in folder.glob(".vrestore-*"):
        if old.name.count("-") and old.name.split("-")[1] == stamp.name.split("-")[1]:
            old.unlink()
    stamp.touch()
    return 0


def _fingerprint(extras: list[str]) -> str:
    digest = hashlib.sha256()
    for name in ("constraints.txt", "setup.py", "pyproject.toml"):
        digest.update((ROOT / name).read_bytes())
    digest.update(str(ROOT).encode())
    return f"{'_'.join(extras) or 'core'}-{digest.hexdigest()[:16]}"


def _installed_torch(python: Path) -> str | None:
    """The version of an installed torch that the constraints do not name, else None."""
    code = "from importlib.metadata import version; print(version('torch'))"
    result = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=False)
    return result.stdout.strip() or None


if __name__ == "__main__":
    sys.exit(main())
