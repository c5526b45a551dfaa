"""Configs: found, read, overridden; their plug-ins; what is said when something is wrong."""

import itertools
import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmengine.config import Config

from tests.paths import ROOT
from vrestore.config import (
    carried_folder,
    check_keys,
    find_config,
    load_config,
    parse_options,
    parse_value,
)
from vrestore.errors import ConfigError, PluginError
from vrestore.plugins import FILES_VARIABLE
from vrestore.registry import DEGRADATIONS

_numbers = itertools.count()


@pytest.fixture(autouse=True)
def _own_folder(monkeypatch, tmp_path):
    monkeypatch.setenv(FILES_VARIABLE, "[]")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def name():
    unique = f"ConfigTest{next(_numbers)}"
    yield unique
    DEGRADATIONS.module_dict.pop(unique, None)


def write(path: Path | str, text: str) -> Path:
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def plugin(path: Path | str, name: str) -> Path:
    text = f"from vrestore.registry import DEGRADATIONS\n@DEGRADATIONS.register_module()\nclass {name}:\n    pass\n"
    return write(path, text)


def test_inheritance_and_options():
    write("base.py", "model = dict(type='X', a=1, sub=dict(b=2))\nrate = 1e-3\n")
    write("child.py", "_base_ = ['base.py']\nmodel = dict(a=5)\n")
    config = load_config("child.py", ["model.sub.b=[1e-4, word]", "rate=2", "new.key=true"])
    assert config.to_dict() == {
        "model": {"type": "X", "a": 5, "sub": {"b": [1e-4, "word"]}},
        "rate": 2,
        "new": {"key": True},
    }
    assert config.filename == str(Path("child.py").resolve())


def test_options_as_a_dict_and_into_lists():
    write("c.py", "hooks = [dict(n=1), dict(n=2)]\n")
    assert load_config("c.py", {"hooks.1.n": 9}).hooks[1].n == 9


@pytest.mark.parametrize(("file", "text"), [("c.yml", "model: {a: 1}\n"), ("c.json", '{"model": {"a": 1}}')])
def test_other_formats(file, text):
    write(file, text)
    assert load_config(file).model.a == 1


def test_new_style_configs():
    write("new/base.py", "rate = 3\n")
    write("new/__init__.py", "")
    write(
        "new/child.py", "from mmengine.config import read_base\nwith read_base():\n    from .base import *\nmore = 4\n"
    )
    config = load_config("new/child.py")
    assert (config.rate, config.more) == (3, 4)


@pytest.mark.parametrize(
    "given_name", ["configs/_base_/default_runtime.py", "_base_/default_runtime.py", "_base_/default_runtime"]
)
def test_own_configs_are_found_from_anywhere(given_name):
    assert find_config(given_name) == ROOT / "configs" / "_base_" / "default_runtime.py"


def test_a_local_file_comes_before_an_own_config():
    local = write("configs/_base_/default_runtime.py", "here = True\n")
    assert find_config("configs/_base_/default_runtime.py") == local.resolve()


def test_carried_folders():
    assert carried_folder("model_zoo") == ROOT / "model_zoo"
    assert (carried_folder("model_zoo") / "index.yml").is_file()


def test_missing_config_names_the_closest():
    write("my_training.py", "")
    with pytest.raises(ConfigError, match=r"config 'my_trainnig\.py' not found.*closest: my_training\.py"):
        load_config("my_trainnig.py")


def test_missing_own_config_names_the_closest_own(monkeypatch):
    package = write("fake/vrestore/config.py", "").parent
    write("fake/vrestore/configs/benchmarks/quickstart.py", "")
    write("fake/vrestore/configs/_base_/quickstart.py", "")
    monkeypatch.setattr("vrestore.config.__file__", str(package / "config.py"))
    with pytest.raises(ConfigError, match=r"closest: configs/benchmarks/quickstart\.py$"):
        load_config("configs/benchmark/quickstart.py")
    # Installed packages carry the configs inside.
    assert find_config("configs/benchmarks/quickstart.py").parent == (package / "configs/benchmarks").resolve()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = (1\n", "line 1: '\\(' was never closed"),
        ("a = 1\nb = unknown + 1\n", r"c\.py, line 2: NameError: name 'unknown' is not defined"),
        ("_base_ = 'gone.py'\n", r"it builds on .*gone\.py, which does not exist"),
        ("import sys\nsys.exit()\n", "SystemExit"),
    ],
)
def test_unreadable_configs(text, words):
    write("c.py", text)
    with pytest.raises(ConfigError, match=words) as caught:
        load_config("c.py")
    assert "could not be read" in str(caught.value)


def test_a_file_of_another_kind():
    write("notes.txt", "hello")
    with pytest.raises(ConfigError, match=r"notes\.txt must be a \.py"):
        load_config("notes.txt")


@pytest.mark.parametrize("option", ["rate", "=3", " =3"])
def test_an_option_without_key_or_value(option):
    write("c.py", "rate = 1\n")
    with pytest.raises(ConfigError, match="must be KEY=VALUE"):
        load_config("c.py", [option])


@pytest.mark.parametrize("option", ["rate.x=3", "hooks.7.n=1", "hooks.first=1"])
def test_an_option_that_fits_nowhere(option):
    write("c.py", "rate = 1\nhooks = [dict(n=1)]\n")
    with pytest.raises(ConfigError, match=r"option .* does not fit config .*c\.py"):
        load_config("c.py", [option])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("1", 1), ("1e-4", 1e-4), ("-2.5", -2.5), ("true", True), ("False", False), ("none", None), ("null", None)),
        *(("a/b.mp4", "a/b.mp4"), ("'3'", "3"), ("", ""), ("two words", "two words"), ("a, b", ["a", "b"])),
        *(
            ("1,2", [1, 2]),
            ("(1, 2)", (1, 2)),
            ("[1, 2e-3]", [1, 2e-3]),
            ("[bicubic, [1e-4, no]]", ["bicubic", [1e-4, "no"]]),
        ),
        *(("{a: 1, b: x}", {"a": 1, "b": "x"}), ("{'a': 1}", {"a": 1}), ("[unclosed", "[unclosed"), ("{", "{")),
        *(("off", "off"), ("011", "011"), ("12:30", "12:30"), ("a=b", "a=b")),
    ],
)
def test_values(text, value):
    parsed = parse_value(text)
    assert parsed == value
    assert type(parsed) is type(value)


@given(
    st.recursive(
        st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.booleans() | st.none() | st.text(),
        st.lists,
        max_leaves=6,
    )
)
def test_every_python_literal_is_read_back(value):
    assert parse_value(repr(value)) == value


@given(st.text())
def test_no_text_is_too_odd_to_be_a_value(text):
    parse_options([f"key={text}"])


def test_plugins_of_custom_imports_relative_to_the_config(name):
    plugin("deep/mine.py", name)
    write("deep/c.py", "custom_imports = dict(imports=['mine.py'])\n")
    config = load_config("deep/c.py")
    assert DEGRADATIONS.get(name) is not None
    assert config.custom_imports.imports == [str(Path("deep/mine.py").resolve())]


def test_plugins_of_custom_imports_by_module_name(name):
    plugin(f"deep/mine_{name}.py", name)
    write("deep/c.py", f"custom_imports = dict(imports='mine_{name}', allow_failed_imports=False)\n")
    load_config("deep/c.py")
    assert DEGRADATIONS.get(name) is not None


def test_plugins_of_an_inherited_config(name):
    plugin("deep/mine.py", name)
    write("deep/base.py", "custom_imports = dict(imports=['{{ fileDirname }}/mine.py'])\n")
    write("other/c.py", "_base_ = '../deep/base.py'\n")
    load_config("other/c.py")
    assert DEGRADATIONS.get(name) is not None


def test_plugins_of_the_command_line_are_written_into_the_config(name):
    plugin("mine.py", name)
    write("c.py", "custom_imports = dict(imports=['json'])\n")
    config = load_config("c.py", plugins=["mine.py", Path("mine.py")])
    assert config.custom_imports.imports == ["json", str(Path("mine.py").resolve())]


def test_a_saved_copy_finds_its_plugins_from_anywhere(name, monkeypatch, tmp_path):
    plugin("deep/pack/__init__.py", name)
    write("deep/c.py", "custom_imports = dict(imports=['pack'])\n")
    load_config("deep/c.py").dump("saved.py")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    config = load_config("../saved.py")
    assert config.custom_imports.imports == [str((tmp_path / "deep" / "pack").resolve())]


def test_a_missing_plugin():
    write("c.py", "custom_imports = dict(imports=['gone.py'])\n")
    with pytest.raises(PluginError, match=r"plug-in 'gone\.py' not found"):
        load_config("c.py")
    write("c.py", "custom_imports = dict(imports=['gone.py'], allow_failed_imports=True)\n")
    assert load_config("c.py") is not None


def test_wrong_custom_imports():
    write("c.py", "custom_imports = ['mine.py']\n")
    with pytest.raises(ConfigError, match=r"custom_imports must be dict\(imports"):
        load_config("c.py")
    write("c.py", "custom_imports = dict(import_=['mine.py'])\n")
    with pytest.raises(ConfigError, match="custom_imports has no key 'import_'; did you mean 'imports'"):
        load_config("c.py")


def test_a_config_can_be_pickled_and_is_mmengines():
    write("c.py", "model = dict(a=1)\n")
    config = load_config("c.py")
    assert isinstance(config, Config)
    assert pickle.loads(pickle.dumps(config)).model.a == 1


def test_check_keys():
    check_keys({"a": 1}, ["a", "b"], "the section")
    with pytest.raises(
        ConfigError, match=r"^the section has no key 'modle'; did you mean 'model'\? \(allowed: data, model\)$"
    ):
        check_keys({"modle": 1}, ["model", "data"], "the section")
