"""Restoring files: decode, restore and encode, kept apart."""
