"""Where the time of a run went, from its ``performance_stats_N.json``."""

from __future__ import annotations

import json
from pathlib import Path


def stage_seconds(output: Path) -> dict[str, float]:
    """Return the seconds of each stage of the only run of an output."""
    text = (output / "performance_stats_0.json").read_text(encoding="utf-8")
    seconds: dict[str, float] = json.loads(text)["stage_seconds"]
    return seconds


def print_parts(output: Path, *, whole_seconds: float, of: str) -> None:
    """Print one line per stage and per part of it.

    Args:
        output: Of the last run that was measured, which need not be the fastest.
        whole_seconds: What shares are of.
        of: Its name.
    """
    seconds = stage_seconds(output)
    if "cut" in seconds:
        seconds["cut_encode"] = seconds["cut"] - seconds["cut_decode"]
    print(f"\n{'part of ours':20}{'seconds':>9}   of {of}")
    for name in sorted(seconds, key=lambda name: (name.split("_")[0], name)):
        stage, _, part = name.partition("_")
        label = f"  {part}" if part else stage
        print(f"{label:20}{seconds[name]:9.2f}{100 * seconds[name] / whole_seconds:9.2f}%")
    print()
