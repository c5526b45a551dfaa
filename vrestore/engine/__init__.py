"""What plugs into MMEngine's Runner: hooks, loops, optimiser wrappers."""

import mmengine.hooks
import mmengine.runner
import mmengine.visualization  # noqa: F401  (fill MMEngine's registries, the parents of ours)

from vrestore.engine import cosine_restart, hooks, loops, optim, runner, several_optimisers, sharding

__all__ = ["cosine_restart", "hooks", "loops", "optim", "runner", "several_optimisers", "sharding"]
