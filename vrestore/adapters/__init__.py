"""Conditioning: what a backbone adds to its features (ADAPTERS)."""
