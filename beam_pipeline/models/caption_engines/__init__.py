"""From options to the engine that captions: one file per family of engines."""
