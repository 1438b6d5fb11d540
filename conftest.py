"""What pytest must not import while it looks for doctests."""

from __future__ import annotations

import importlib.util

collect_ignore = []
if importlib.util.find_spec("torch") is None:
    # Its classes are torch's; what uses it imports it only when it must.
    collect_ignore.append("transforms/models/transnetv2_network.py")
