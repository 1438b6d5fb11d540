"""Engines around engines: what works on top of whoever makes the captions."""
