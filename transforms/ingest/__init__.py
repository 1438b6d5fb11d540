"""From an input folder to probed videos."""
