"""Noise schedules, prediction types, guidance, the denoiser wrapper (SCHEDULES)."""
