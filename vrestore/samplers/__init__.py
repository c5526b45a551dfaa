"""Solvers: plain functions over a denoiser and a list of sigmas (SAMPLERS)."""
