"""Plug-ins from files, folders, modules and installed packages; what is said when one is broken."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.paths import ROOT
from vrestore import plugins
from vrestore.errors import PluginError
from vrestore.plugins import FILES_VARIABLE, load_plugins
from vrestore.registry import DEGRADATIONS, load_installed

NET = "from vrestore.registry import DEGRADATIONS\n\n@DEGRADATIONS.register_module()\nclass {name}:\n    pass\n"
_numbers = itertools.count()


@pytest.fixture
def name():
    """A name that no other test registers."""
    unique = f"PluginTest{next(_numbers)}"
    yield unique
    DEGRADATIONS.module_dict.pop(unique, None)


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch, tmp_path):
    monkeypatch.setenv(FILES_VARIABLE, "[]")
    monkeypatch.chdir(tmp_path)


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_joins_by_its_decorator(tmp_path, name):
    write(tmp_path / "mine.py", NET.format(name=name))
    (module,) = load_plugins(["mine.py"])
    assert DEGRADATIONS.get(name) is getattr(module, name)


def test_one_file_is_one_module_however_it_is_named(tmp_path, name, monkeypatch):
    file = write(tmp_path / "deep" / "mine.py", NET.format(name=name))
    (first,) = load_plugins([file])
    monkeypatch.chdir(tmp_path / "deep")
    again = load_plugins(["mine.py", "./mine.py", "mine", "../deep/mine.py"])
    assert all(module is first for module in again)


def test_files_of_one_name_in_two_folders_are_two_modules(tmp_path):
    modules = load_plugins([write(tmp_path / f / "same.py", f"WHERE = '{f}'\n") for f in ("a", "b")])
    assert [module.WHERE for module in modules] == ["a", "b"]
    assert modules[0].__name__ != modules[1].__name__


def test_a_package_folder_with_relative_imports(tmp_path, name):
    write(tmp_path / "pack" / "__init__.py", "from .part import VALUE\n")
    write(tmp_path / "pack" / "part.py", NET.format(name=name) + "VALUE = 7\n")
    (module,) = load_plugins(["pack"])
    assert module.VALUE == 7
    assert DEGRADATIONS.get(name) is not None


def test_an_importable_module(tmp_path, name, monkeypatch):
    write(tmp_path / "lib" / f"mod_{name}" / "__init__.py", "")
    write(tmp_path / "lib" / f"mod_{name}" / "inner.py", NET.format(name=name))
    monkeypatch.syspath_prepend(str(tmp_path / "lib"))
    (module,) = load_plugins([f"mod_{name}.inner"])
    assert module.__name__ == f"mod_{name}.inner"
    assert DEGRADATIONS.get(name) is not None


def test_a_module_that_was_imported_by_name_is_not_loaded_again_by_path(tmp_path, name, monkeypatch):
    file = write(tmp_path / f"mod_{name}.py", NET.format(name=name))
    monkeypatch.syspath_prepend(str(tmp_path))
    assert load_plugins([f"mod_{name}"])[0] is load_plugins([str(file)])[0]


def test_relative_paths_are_looked_for_in_the_folders_given(tmp_path):
    write(tmp_path / "there" / "mine_here.py", "X = 1\n")
    assert load_plugins(["mine_here.py"], ["elsewhere", "there"])[0].X == 1


@pytest.mark.parametrize("plugin", ["nowhere.py", "./nowhere", "no_such_module_anywhere"])
def test_missing(plugin, tmp_path):
    with pytest.raises(PluginError, match=f"plug-in '{plugin}' not found.*{tmp_path}"):
        load_plugins([plugin])


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("x = 1\ny = x +\n", 2, "SyntaxError"),
        ("\n\nBACKBONE\n", 3, "NameError: name 'BACKBONE' is not defined"),
        ("import sys\nsys.exit(3)\n", 2, "SystemExit: 3"),
        ("from vrestore.registry import BACKBONES\nBACKBONES.register_module(name=3)(int)\n", 2, "TypeError"),
        ("import no_such_package_at_all\n", 1, "ModuleNotFoundError"),
        ("import torch\ntorch.zeros(2).reshape(5)\n", 2, "RuntimeError"),
    ],
)
def test_errors_name_the_file_and_the_line(tmp_path, text, line, words):
    file = write(tmp_path / "broken.py", text)
    with pytest.raises(PluginError) as caught:
        load_plugins(["broken.py"])
    assert f"{file}:{line}: " in str(caught.value)
    assert words in str(caught.value)


def test_a_clash_of_names_is_told_with_the_place_in_the_plugin(tmp_path):
    file = write(tmp_path / "clash.py", "# mine\n" + NET.format(name="BlurDown"))
    with pytest.raises(
        PluginError, match=rf"{file}:\d: 'BlurDown' is already registered in DEGRADATIONS by .*blur_down"
    ):
        load_plugins([file])


def test_a_file_beside_the_plugin_is_hinted_at(tmp_path):
    write(tmp_path / "helper_beside.py", "")
    file = write(tmp_path / "main_one.py", "from helper_beside import x\n")
    with pytest.raises(PluginError, match=r"helper_beside\.py lies beside it: .*from \.helper_beside import"):
        load_plugins([file])


def test_a_failed_plugin_can_be_mended_and_loaded(tmp_path, name):
    file = write(tmp_path / "mend.py", "1 / 0\n")
    with pytest.raises(PluginError, match="ZeroDivisionError"):
        load_plugins([file])
    os.utime(
        write(file, NET.format(name=name)), (0, 0)
    )  # another time than the first, so that no stale bytecode counts
    load_plugins([file])
    assert DEGRADATIONS.get(name) is not None


def test_classes_of_plugin_files_reach_spawned_data_workers(tmp_path):
    write(
        tmp_path / "mine.py",
        "class Squares:\n    def __len__(self): return 4\n    def __getitem__(self, i): return i * i\n",
    )
    run = write(
        tmp_path / "run.py",
        "from torch.utils.data import DataLoader\n"
        "from vrestore.plugins import load_plugins\n"
        "if __name__ == '__main__':\n"
        "    (module,) = load_plugins(['mine.py'])\n"
        "    loader = DataLoader(module.Squares(), batch_size=4, num_workers=1, multiprocessing_context='spawn')\n"
        "    print(next(iter(loader)).tolist())\n",
    )
    assert in_python(run, tmp_path).stdout.strip() == "[0, 1, 4, 9]"


def in_python(script: Path, folder: Path, *path: Path) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT, *path))), "OMP_NUM_THREADS": "1"}
    environment.pop(FILES_VARIABLE, None)
    done = subprocess.run([sys.executable, str(script)], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done


def install(site: Path, package: str, entry_points: dict[str, str], code: dict[str, str]) -> None:
    """Lay an installed package down as an installer would: modules and their metadata."""
    for module, text in code.items():
        write(site / f"{module}.py", text)
    info = site / f"{package.replace('-', '_')}-1.0.dist-info"
    write(info / "METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    lines = "".join(f"{key} = {value}\n" for key, value in entry_points.items())
    write(info / "entry_points.txt", f"[vrestore.plugins]\n{lines}")


def test_installed_packages_are_loaded_when_a_name_is_missing_and_only_then(tmp_path):
    site = tmp_path / "site"
    install(
        site,
        "good-restorer",
        {"good": "good_restorer"},
        {"good_restorer": "print('imported')\n" + NET.format(name="Good")},
    )
    broken = {"bad_restorer": "\nboom()\n"}
    install(site, "bad-restorer", {"bad": "bad_restorer"}, broken)
    clash = {"clash_restorer": NET.format(name="BlurDown")}
    install(site, "clash-restorer", {"clash": "clash_restorer"}, clash)
    run = write(
        tmp_path / "run.py",
        "import json, warnings\n"
        "from vrestore.registry import BACKBONES, DEGRADATIONS\n"
        "assert DEGRADATIONS.get('BlurDown').__module__ == 'vrestore.degradations.blur_down'\n"
        "print('not yet')\n"
        "with warnings.catch_warnings(record=True) as caught:\n"
        "    warnings.simplefilter('always')\n"
        "    assert DEGRADATIONS.get('Good') is not None\n"
        "    assert DEGRADATIONS.get('StillMissing') is None\n"
        "    assert BACKBONES.get('StillMissing') is None\n"
        "assert DEGRADATIONS.get('BlurDown').__module__ == 'vrestore.degradations.blur_down'\n"
        "print(json.dumps([str(w.message) for w in caught if 'plug-in' in str(w.message)]))\n",
    )
    lines = in_python(run, tmp_path, site).stdout.splitlines()
    assert lines[:2] == ["not yet", "imported"]
    warned = sorted(json.loads(lines[2]))
    assert len(warned) == 2
    assert warned[0].startswith("the plug-in 'bad' of the installed package 'bad-restorer' was left out: ")
    assert f"{site / 'bad_restorer.py'}:2: NameError" in warned[0]
    assert "'clash-restorer'" in warned[1]
    assert "'BlurDown' is already registered" in warned[1]


def test_installed_plugins_are_loaded_once(monkeypatch):
    monkeypatch.setattr(plugins, "_installed_loaded", True)
    assert load_installed() is False
