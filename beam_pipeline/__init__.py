"""The application: reads a config, wires the transforms, runs them."""
