"""Plug-ins: a user's own modules join the registries from a file, a folder, a module or an installed package.

Importing a plug-in runs its ``@BACKBONES.register_module()`` decorators; nothing else is asked of it. Three doors:
``custom_imports = dict(imports=['my_module.py'])`` in a config, ``--plugin my_module.py`` on the command line, and an
installed package that declares an entry point of the group ``vrestore.plugins``.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import json
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from vrestore.errors import PluginError, VRestoreError

ENTRY_POINT_GROUP = "vrestore.plugins"
FILES_VARIABLE = "VRESTORE_PLUGIN_FILES"

# Plug-in files are imported as submodules of this module, so that unpickling one of their classes in a spawned data
# worker imports this module first, which knows where the file lies. A module with a __path__ may have submodules.
__path__: list[str] = []

_installed_loaded = False


def load_plugins(
    plugins: Iterable[str | os.PathLike], folders: Sequence[str | os.PathLike] = (".",)
) -> list[ModuleType]:
    """Import plug-ins, each once however often it is named.

    Args:
        plugins: paths of ``.py`` files or of package folders, or names of importable modules.
        folders: where relative paths are looked for, in this order. A module name that Python does not know is
            looked for there as a file, too.

    Returns:
        The imported modules, in the order given.

    Raises:
        PluginError: a plug-in is not found, or importing it fails; the message names the file and the line.
    """
    return [_load(os.fspath(plugin), [Path(folder) for folder in folders]) for plugin in plugins]


def find_plugin_file(plugin: str | os.PathLike, folders: Sequence[str | os.PathLike] = (".",)) -> Path | None:
    """The file that `plugin` (a path, or a module name) means in one of `folders`; None where there is none."""
    text = os.fspath(plugin)
    paths = [Path(text).expanduser()]
    if not _looks_like_path(text):
        paths = [Path(*text.split(".")).with_suffix(".py"), Path(*text.split("."))]
    for folder in folders:
        for path in paths:
            found = Path(folder) / path
            if found.is_dir():
                found = found / "__init__.py"
            if found.is_file():
                return found.resolve()
    return None


def load_installed_plugins(prepare: Callable[[], object]) -> bool:
    """Import every installed package's entry points of the group ``vrestore.plugins``, once a process.

    A broken one gives a warning that names its package; the others still load.

    Args:
        prepare: called before the first one is imported, where there is one. `vrestore.registry.load_installed` calls
            this function so that our own names are registered first: a clash is then the plug-in's, not ours.

    Returns:
        Whether this call imported anything.
    """
    global _installed_loaded
    if _installed_loaded:
        return False
    _installed_loaded = True
    entry_points = importlib.metadata.entry_points(group=ENTRY_POINT_GROUP)
    if not entry_points:
        return False
    prepare()
    for entry_point in entry_points:
        try:
            entry_point.load()
        except (Exception, SystemExit) as error:
            package = entry_point.dist.name if entry_point.dist else entry_point.value
            warnings.warn(
                f"the plug-in '{entry_point.name}' of the installed package '{package}' was left out: "
                f"{_explain(error, _home(entry_point.module))}"
            )
    return True


def _load(plugin: str, folders: list[Path]) -> ModuleType:
    if not _looks_like_path(plugin) and _is_importable(plugin):
        return _import(plugin, plugin, _home(plugin))
    file = find_plugin_file(plugin, folders)
    if file is not None:
        for module in list(sys.modules.values()):  # imported before, under whatever name
            if getattr(module, "__file__", None) == str(file) and module.__name__ != "__main__":
                return module
        return _import(_remember(file), str(file), file.parent)
    looked = ", ".join(str(folder.resolve()) for folder in folders)
    if _looks_like_path(plugin):
        raise PluginError(f"plug-in '{plugin}' not found: there is no such file or package folder (looked in {looked})")
    raise PluginError(
        f"plug-in '{plugin}' not found: it is neither an importable module nor a file "
        f"{'/'.join(plugin.split('.'))}.py (looked in {looked}); give the path of its file"
    )


def _looks_like_path(text: str) -> bool:
    return text.endswith(".py") or "/" in text or os.sep in text or text.startswith(("~", "."))


def _is_importable(name: str) -> bool:
    if name in sys.modules:
        return True
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:  # a parent package is missing
        return False
    except (Exception, SystemExit) as error:  # a parent package fails when it is imported
        raise PluginError(f"plug-in '{name}' could not be imported: {_explain(error, _home(name))}") from error
    return spec is not None and spec.origin is not None  # a bare folder has no origin, and nothing to run


def _import(name: str, shown: str, home: Path | None) -> ModuleType:
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        raise PluginError(f"plug-in {shown} could not be imported: {_explain(error, home)}") from error


def _home(name: str) -> Path | None:
    """The folder that holds the source of a module's outermost package."""
    try:
        spec = importlib.util.find_spec(name.partition(".")[0])
    except (ImportError, ValueError):
        return None
    return Path(spec.origin).parent if spec is not None and spec.has_location and spec.origin else None


def _explain(error: BaseException, home: Path | None) -> str:
    """``file:line: what went wrong``, at the deepest line of the plug-in that led to it."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}: SyntaxError: {error.msg}"
    what = str(error) if isinstance(error, VRestoreError) else f"{type(error).__name__}: {error}"
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith("<frozen")]
    frames = [f for f in frames if home is not None and _lies_in(Path(f.filename), home)] or frames
    if not frames:
        return what
    frame = frames[-1]
    return f"{frame.filename}:{frame.lineno}: {what}{_sibling_hint(error, Path(frame.filename))}"


def _lies_in(file: Path, home: Path) -> bool:
    """Whether a file belongs to the plug-in at `home`, and not to vrestore or a package installed below it."""
    if home not in file.parents or Path(__file__).parent in file.parents:
        return False
    return "site-packages" not in file.relative_to(home).parts


def _sibling_hint(error: BaseException, file: Path) -> str:
    if not isinstance(error, ModuleNotFoundError) or not error.name:
        return ""
    sibling = file.with_name(error.name.partition(".")[0] + ".py")
    if not sibling.is_file():
        return ""
    return (
        f" ({sibling.name} lies beside it: give the folder as the plug-in, with an __init__.py in it, "
        f"and write 'from .{error.name} import …')"
    )


def _remember(file: Path) -> str:
    """The module name of a plug-in file: the same for the same file, in every process that this one starts."""
    known = _known_files()
    if str(file) not in known:
        os.environ[FILES_VARIABLE] = json.dumps([*known, str(file)])
    return _module_name(file)


def _known_files() -> list[str]:
    return json.loads(os.environ.get(FILES_VARIABLE) or "[]")


def _module_name(file: Path) -> str:
    stem = file.parent.name if file.name == "__init__.py" else file.stem
    plain = "".join(c if c.isalnum() else "_" for c in stem)
    return f"{__name__}.{plain}_{sha256(str(file).encode()).hexdigest()[:12]}"


class _PluginFinder:
    """Finds the submodules of this module: the plug-in files of this process and of the one that started it."""

    @staticmethod
    def find_spec(fullname: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if not fullname.startswith(f"{__name__}.") or fullname.count(".") != __name__.count(".") + 1:
            return None
        for file in map(Path, _known_files()):
            if _module_name(file) == fullname:
                folder = [str(file.parent)] if file.name == "__init__.py" else None
                return importlib.util.spec_from_file_location(fullname, file, submodule_search_locations=folder)
        return None


sys.meta_path.append(_PluginFinder)  # type: ignore[arg-type]
