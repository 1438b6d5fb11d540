"""Where the pipeline runs: presets of Beam flags and what a cluster needs."""
