"""What the Runner calls at fixed points of a run (HOOKS)."""

from vrestore.engine.hooks.checkpoint import SafeCheckpointHook
from vrestore.engine.hooks.damage import DamagedClipsHook
from vrestore.engine.hooks.ema import StepEMAHook
from vrestore.engine.hooks.freeze import FreezeHook
from vrestore.engine.hooks.log import LogHook
from vrestore.engine.hooks.samples import SampleImageHook
from vrestore.engine.hooks.spike import LossSpikeHook
from vrestore.engine.hooks.start import StartFromHook
from vrestore.engine.hooks.trained_ema import TrainedEMAHook

# Always there unless a config says None; a config's entry of the same name is laid over.
DEFAULT_HOOKS: dict[str, dict] = {
    "runtime_info": {"type": "RuntimeInfoHook"},
    "param_scheduler": {"type": "ParamSchedulerHook"},
    "logger": {"type": "LogHook"},
    "checkpoint": {"type": "SafeCheckpointHook"},
    "damage": {"type": "DamagedClipsHook"},
    "spike": {"type": "LossSpikeHook"},
}

__all__ = [
    "DEFAULT_HOOKS",
    "DamagedClipsHook",
    "FreezeHook",
    "LogHook",
    "LossSpikeHook",
    "SafeCheckpointHook",
    "SampleImageHook",
    "StartFromHook",
    "StepEMAHook",
    "TrainedEMAHook",
]
