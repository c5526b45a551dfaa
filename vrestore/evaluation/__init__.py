"""Metrics (METRICS), protocols, the benchmark runner and the report."""
