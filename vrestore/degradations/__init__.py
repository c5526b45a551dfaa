"""Clean clip -> degraded clip, seeded and recorded (DEGRADATIONS)."""
