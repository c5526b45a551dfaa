"""Clips on disk -> training samples and benchmark pairs (DATASETS, TRANSFORMS)."""
