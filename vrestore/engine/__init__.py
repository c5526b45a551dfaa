"""What plugs into MMEngine's Runner: hooks, loops, optimiser wrappers."""
