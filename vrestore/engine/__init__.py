"""What plugs into MMEngine's Runner: hooks, loops, optimiser wrappers."""

import mmengine.hooks
import mmengine.runner
import mmengine.visualization  # noqa: F401  (fill MMEngine's registries, the parents of ours)
from mmengine.model import BaseModel

from vrestore.engine import cosine_restart, hooks, loops, optim, runner, several_optimisers, sharding
from vrestore.restorers.runner_model import RunnerModel

BaseModel.register(RunnerModel)  # so that isinstance(restorer, BaseModel) holds for the Runner and its hooks

__all__ = ["cosine_restart", "hooks", "loops", "optim", "runner", "several_optimisers", "sharding"]
