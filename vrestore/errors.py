"""The errors a person can cause and mend; the command line prints them as one sentence and exits with status 2.

Every message says what was wrong, where, and what would be right. Anything that is not a `VRestoreError`
is a defect of ours and keeps its traceback.
"""


class VRestoreError(Exception):
    """Base of every error that the person at the keyboard can mend."""


class MediaError(VRestoreError, ValueError):
    """A file or folder of frames that cannot be read or written as asked."""


class RequestError(VRestoreError, ValueError):
    """A restoration request (scale, size, fps, strength, …) or clip that the restorer cannot serve."""


class ConfigError(VRestoreError, ValueError):
    """A config with an unknown key, a wrong type or an impossible combination."""


class RegistryError(VRestoreError, KeyError):
    """A name that no registry holds, or one that is taken."""

    def __str__(self) -> str:  # KeyError prints the repr of its argument, which escapes every newline
        return str(self.args[0]) if self.args else ""


class PluginError(VRestoreError, ImportError):
    """A plug-in that cannot be found or imported; the message names its file and line."""


class WeightsError(VRestoreError, ValueError):
    """A weight file that is missing, unsafe, damaged, or of another architecture."""


class DataError(VRestoreError, ValueError):
    """A dataset whose folder, files or clips are not as its layout says."""


class EvaluationError(VRestoreError, ValueError):
    """An output that cannot be scored against its ground truth: another size, another frame count, or not a number."""


class NotMeasuredError(EvaluationError):
    """A score that cannot be had here (no ground truth, no weights, too small a frame); the message says what helps."""


class TrainingError(VRestoreError, RuntimeError):
    """A training that cannot go on: a loss that is not a number, a failed data worker, a full disk."""


class MissingDependencyError(VRestoreError, ImportError):
    """An optional package is absent; the message names the extra that installs it."""


def require(module: str, extra: str, purpose: str):
    """Import an optional package, or say which extra of vrestore installs it.

    Args:
        module: import name, for example ``"lpips"``.
        extra: the extra of vrestore that brings it, for example ``"metrics"``.
        purpose: what needs it, for the error message.

    Raises:
        MissingDependencyError: the package is not installed.
    """
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingDependencyError(
            f"{purpose} needs the package '{module}', which is not installed; install it with: "
            f"pip install 'vrestore[{extra}]'"
        ) from error
