"""What pytest must not import while it looks for doctests."""

from __future__ import annotations

import importlib.util

# Stand-ins of packages: read as modules with doctests, they would take the real ones' places.
collect_ignore = ["tests/fake_packages", "tests/fake_transformers"]
if importlib.util.find_spec("torch") is None:
    # Their classes are torch's; what uses them imports them only when it must.
    collect_ignore += [
        "transforms/models/transnetv2_network.py",
        "tests/tiny_models.py",
        "transforms/models/captions/next_token.py",
        "transforms/models/captions/text_engine.py",
        "transforms/models/captions/transformers_engine.py",
        "transforms/models/captions/vision_model.py",
    ]
