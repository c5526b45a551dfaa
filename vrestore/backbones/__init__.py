"""Networks: frames or latents in, frames or latents out (BACKBONES)."""
