"""What plugs into MMEngine's Runner: hooks, loops, optimiser wrappers."""

import mmengine.hooks
import mmengine.runner
import mmengine.visualization  # noqa: F401  (fill MMEngine's registries, the parents of ours)

from vrestore.engine import hooks, loops, optim, runner, sharding

__all__ = ["hooks", "loops", "optim", "runner", "sharding"]
