"""Files <-> frames: probe, reader, writer, colour, the media contract (PyAV)."""
