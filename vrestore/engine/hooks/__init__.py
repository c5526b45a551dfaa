"""What the Runner calls at fixed points of a run (HOOKS)."""

from vrestore.engine.hooks.checkpoint import SafeCheckpointHook
from vrestore.engine.hooks.ema import StepEMAHook
from vrestore.engine.hooks.freeze import FreezeHook
from vrestore.engine.hooks.log import LogHook
from vrestore.engine.hooks.samples import SampleImageHook

__all__ = ["FreezeHook", "LogHook", "SafeCheckpointHook", "SampleImageHook", "StepEMAHook"]
