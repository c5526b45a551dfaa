"""Configs: find one, read it, override its values, import the plug-ins that it names."""

from __future__ import annotations

import ast
import difflib
import os
import traceback
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from mmengine.config import Config

from vrestore.errors import ConfigError, PluginError, VRestoreError
from vrestore.plugins import find_plugin_file, load_plugins

SUFFIXES = (".py", ".yml", ".yaml", ".json")


def load_config(
    path: str | os.PathLike,
    options: Mapping[str, Any] | Iterable[str] | None = None,
    plugins: Iterable[str | os.PathLike] = (),
) -> Config:
    """Read a config, override values, import its plug-ins.

    Args:
        path: a file, or the name of one of vrestore's own configs (``configs/benchmarks/quickstart.py``, with or
            without ``configs/`` and the suffix), wherever the package is installed.
        options: values to override: ``{"optim_wrapper.optimizer.lr": 1e-4}``, or texts ``"key=value"`` as
            `parse_options` reads them.
        plugins: plug-ins to import besides those of the config's ``custom_imports`` (see `vrestore.plugins`). Paths in
            ``custom_imports`` are relative to the config or to the working directory.

    Returns:
        The config. Its ``custom_imports`` names every plug-in file by an absolute path, so that a copy saved elsewhere
        works.

    Raises:
        ConfigError: the file is missing (the message names the closest ones) or does not parse, or an option fits
            nowhere.
        PluginError: a plug-in cannot be imported.
    """
    file = find_config(path)
    try:
        config = Config.fromfile(str(file), import_custom_modules=False)
    except (Exception, SystemExit) as error:
        raise ConfigError(f"config {file} could not be read: {_explain(error)}") from error
    if options:
        _override(config, options if isinstance(options, Mapping) else parse_options(options), file)
    _import_plugins(config, file.parent, [os.fspath(plugin) for plugin in plugins])
    return config


def find_config(path: str | os.PathLike) -> Path:
    """The file that a path or the name of one of vrestore's own configs means.

    Raises:
        ConfigError: there is none; the message names the closest ones.
    """
    given = Path(path).expanduser()
    own = carried_folder("configs")
    inside = Path(*given.parts[1:]) if given.parts[:1] == ("configs",) else given
    starts = [given] if given.is_absolute() else [given, own / inside]
    for start in starts:
        for candidate in (start, *(start.with_name(start.name + suffix) for suffix in SUFFIXES)):
            if candidate.is_file() and candidate.suffix in SUFFIXES:
                return candidate.resolve()
    if given.is_file():
        raise ConfigError(f"config {given} must be a {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]} file")
    near = _closest_configs(given, own)
    raise ConfigError(
        f"config '{path}' not found, neither from {Path.cwd()} nor among vrestore's own"
        + (f"; closest: {', '.join(near)}" if near else "")
    )


def find_recipe(config: Config, name: str) -> dict[str, Any]:
    """The degradation of a recipe, or of the training data of a training config, as plain data.

    Args:
        config: a config.
        name: what the config is called, for the error.

    Raises:
        ConfigError: it names no degradation.
    """
    data = config.to_dict()
    loader = data.get("train_dataloader")
    dataset = loader.get("dataset") if isinstance(loader, Mapping) else None
    for holder in (data, dataset):
        recipe = holder.get("degradation") if isinstance(holder, Mapping) else None
        if isinstance(recipe, Mapping) and "type" in recipe:
            return dict(recipe)
    raise ConfigError(f"config {name} is no recipe: it needs degradation=dict(type='…') at its top")


def carried_folder(name: str) -> Path:
    """A folder that lies at the top of the repository and inside an installed package: ``configs``, ``model_zoo``."""
    package = Path(__file__).resolve().parent
    return package / name if (package / name).is_dir() else package.parent / name


def parse_options(options: Iterable[str]) -> dict[str, Any]:
    """Read ``key.subkey=value`` texts; values are Python literals, ``[a, b]``, ``true``, ``none`` or plain text.

    Raises:
        ConfigError: a text has no ``=``.
    """
    parsed = {}
    for option in options:
        key, equals, value = option.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"option '{option}' must be KEY=VALUE, for example train_cfg.max_iters=1000")
        parsed[key.strip()] = parse_value(value.strip())
    return parsed


def parse_value(text: str) -> Any:
    """A Python literal (``1e-4``, ``'text'``, ``(2, 3)``), ``[a, b]``, ``a,b``, ``true``, ``none``, or plain text."""
    try:
        value = ast.literal_eval(text)
        return list(value) if isinstance(value, tuple) and not text.startswith("(") else value
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        pass
    lowered = text.lower()
    if lowered in ("true", "false", "none", "null"):
        return {"true": True, "false": False}.get(lowered)
    if text[:1] + text[-1:] in ("[]", "{}"):  # words without quotation marks are YAML's flow style
        try:
            return _words(yaml.load(text, Loader=yaml.BaseLoader))
        except yaml.YAMLError:
            return text
    if "," in text:
        return [parse_value(part.strip()) for part in text.split(",") if part.strip()]
    return text


def check_keys(given: Iterable[str], allowed: Iterable[str], where: str) -> None:
    """Refuse an unknown key.

    Args:
        given: the keys found.
        allowed: the keys there are.
        where: what holds them, for the message: ``"the training config"``.

    Raises:
        ConfigError: names the key, the closest allowed one and all of them.
    """
    allowed = list(allowed)
    for key in given:
        if key not in allowed:
            close = difflib.get_close_matches(str(key), allowed, n=1)
            hint = f"; did you mean '{close[0]}'?" if close else ""
            raise ConfigError(f"{where} has no key '{key}'{hint} (allowed: {', '.join(sorted(allowed))})")


def _override(config: Config, options: Mapping[str, Any], file: Path) -> None:
    for key, value in options.items():
        try:
            config.merge_from_dict({key: value})
        except (KeyError, TypeError, IndexError, AssertionError) as error:
            reason = error.args[0] if error.args else error
            raise ConfigError(f"option {key}={value!r} does not fit config {file}: {reason}") from error


def _import_plugins(config: Config, folder: Path, plugins: list[str]) -> None:
    """Import what the config and the caller name, and write it back into the config by absolute paths."""
    section = config.get("custom_imports") or {}
    if not isinstance(section, Mapping):
        raise ConfigError(f"custom_imports must be dict(imports=['module.py', …]), got {section!r}")
    check_keys(section, ("imports", "allow_failed_imports"), "custom_imports")
    imports = section.get("imports") or []
    imports = [imports] if isinstance(imports, str) else list(imports)
    kept = []
    for plugin, folders in [*((p, [folder, Path.cwd()]) for p in imports), *((p, [Path.cwd()]) for p in plugins)]:
        try:
            module = load_plugins([plugin], folders)[0]
        except PluginError:
            if plugin in imports and section.get("allow_failed_imports"):
                continue
            raise
        file = find_plugin_file(plugin, folders)
        by_path = file is not None and getattr(module, "__file__", None) == str(file)
        kept.append(str(_unit(file)) if by_path and file is not None else plugin)
    if kept:
        config.custom_imports = {"imports": list(dict.fromkeys(kept)), "allow_failed_imports": False}


def _unit(file: Path) -> Path:
    return file.parent if file.name == "__init__.py" else file


def _closest_configs(given: Path, own: Path) -> list[str]:
    """Up to three configs whose names are nearest: vrestore's own, and those beside the path given."""
    names = {}
    for file in sorted(own.rglob("*.py")):
        if "_base_" not in file.parts and not file.name.startswith("_"):
            name = (Path("configs") / file.relative_to(own)).as_posix()
            names[name] = names[file.name] = names[file.stem] = name
    if given.parent.is_dir():
        for file in sorted(given.parent.iterdir()):
            if file.suffix in SUFFIXES and not file.name.startswith("_"):
                names[str(file)] = names[file.name] = names[file.stem] = str(file)
    wanted = [given.as_posix(), given.name, given.stem]
    ranked = [
        (difflib.SequenceMatcher(None, text.lower(), key.lower()).ratio(), name)
        for text in wanted
        for key, name in names.items()
    ]
    near = [name for score, name in sorted(ranked, key=lambda pair: -pair[0]) if score >= 0.5]
    return list(dict.fromkeys(near))[:3]


def _explain(error: BaseException) -> str:
    if isinstance(error, VRestoreError) or (isinstance(error, SyntaxError) and error.lineno is None):
        return str(error)
    if isinstance(error, SyntaxError):
        return f"line {error.lineno}: {error.msg}"
    if isinstance(error, FileNotFoundError) and error.filename:
        return f"it builds on {error.filename}, which does not exist"
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.endswith(SUFFIXES)]
    mmengine = [f for f in frames if f"{os.sep}mmengine{os.sep}" in f.filename]
    last = frames[-1] if frames else None
    place = f"{last.filename}, line {last.lineno}: " if last is not None and last not in mmengine else ""
    return f"{place}{type(error).__name__}: {error.args[0] if isinstance(error, KeyError) and error.args else error}"


def _words(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _words(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_words(item) for item in value]
    return parse_value(value) if isinstance(value, str) and value else value
