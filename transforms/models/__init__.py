"""Models: networks, where their weights are found, and how Beam runs them."""
