"""Pixels <-> latents (AUTOENCODERS)."""
