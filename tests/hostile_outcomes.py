"""What became of each input, told from the files of an output with the standard library alone."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_DOCS = Path(__file__).resolve().parent.parent / "docs"
_ROW = re.compile(r"^\| ([a-z, ]+) \| ((?:`[a-z_]+`(?:, )?)+) \|", re.MULTILINE)


@dataclass
class Outcome:
    """What became of one input."""

    kind: str = ""
    """curated, too_short or failed."""
    clips: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Metadata of its clips by id."""
    failures: list[dict[str, Any]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """What must not be: a clip lost, told of twice, ..."""


def documented_reasons() -> set[tuple[str, str]]:
    """Return stage and reason of every row of the table of failures in the documentation."""
    (page,) = _DOCS.glob("resume*.md")
    return {
        (stage.strip(), reason)
        for stages, reasons in _ROW.findall(page.read_text())
        for stage in stages.split(",")
        for reason in re.findall(r"[a-z_]+", reasons)
    }


def outcomes(out: Path) -> dict[str, Outcome]:
    """Return what became of each video by its path relative to the input."""
    found: dict[str, Outcome] = {}
    plans = {plan["video"]["rel"]: plan for plan in _read(out / ".work" / "plans")}
    failures = _read(out / "failures", deep=True)
    metas = _read(out / "metas" / "v0")
    for rel, plan in plans.items():
        found[rel] = _planned(plan, out, failures, metas)
    for failure in failures:
        if failure["stage"] in ("probe", "split", "plan"):
            outcome = found.setdefault(failure["rel"], Outcome())
            if outcome.kind:
                outcome.problems.append(f"{outcome.kind}, and failed in {failure['stage']}")
            outcome.kind = "failed"
            outcome.failures.append(failure)
    return found


def _planned(
    plan: dict[str, Any],
    out: Path,
    failures: list[dict[str, Any]],
    metas: list[dict[str, Any]],
) -> Outcome:
    outcome, rel = Outcome(), plan["video"]["rel"]
    planned = Counter(span["clip_id"] for span in plan["spans"])
    record = json.loads((out / "processed_videos" / f"{rel}.json").read_text())
    chunks = [
        json.loads((out / "processed_clip_chunks" / f"{rel}_{number}.json").read_text())
        for number in range(record["num_clip_chunks"])
    ]
    outcome.failures = [f for f in failures if f["id"] in planned]
    outcome.clips = {m["span_uuid"]: m for m in metas if m["span_uuid"] in planned}
    told = Counter(f["id"] for f in outcome.failures)
    told.update(list(outcome.clips))
    told.update(clip for chunk in chunks for clip in chunk["no_frames"])
    if told != planned:
        outcome.problems.append(f"not once each: {told - planned} too often, {planned - told} lost")
    kept = {clip for chunk in chunks for clip in chunk["clips"] + chunk["filtered_clips"]}
    if kept != set(outcome.clips):
        outcome.problems.append("the records name other clips than there are")
    outcome.kind = "failed" if outcome.failures else "curated" if outcome.clips else "too_short"
    return outcome


def _read(folder: Path, *, deep: bool = False) -> list[dict[str, Any]]:
    paths = folder.rglob("*.json") if deep else folder.glob("*.json")
    return [json.loads(path.read_text()) for path in sorted(paths)]
