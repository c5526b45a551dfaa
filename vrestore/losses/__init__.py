"""Training losses: loss(prediction, target) -> scalar (LOSSES)."""
