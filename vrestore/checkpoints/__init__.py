"""Official weights -> our modules: detect, rename, load, verify."""
