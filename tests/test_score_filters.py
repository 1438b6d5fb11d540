"""Scores, filters and their summary through the real ``curate``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from luma_video import Luma, barred, luma_video, moving
from recorded_work import ChildWork
from run_command import Curated

from beam_pipeline.cli import main
from transforms.filters.score_limits import EDGES

STRIDE = ("--fixed_stride_split_duration", "2", "--fixed_stride_min_clip_length_s", "1")
NAMES = ("black", "frozen", "sharpness", "brightness", "letterbox")
SCORED = tuple(word for name in NAMES for word in (f"--{name}_filter", "score-only"))
SIZE = (192, 128)


def dimmed(picture: Luma, level: int) -> Luma:
    return np.full_like(picture, level)


def pictures(kind: str) -> list[Luma]:
    """Return the 50 frames of a video of one clip."""
    plain = [moving(number, size=SIZE) for number in range(50)]
    if kind == "half_black":
        return [dimmed(one, 16) if n < 30 else one for n, one in enumerate(plain)]
    if kind == "frozen":
        return [plain[min(n, 4)] for n in range(50)]
    if kind == "bars":
        return [barred(one, box=(0, 16, 192, 96)) for one in plain]
    if kind == "bright":
        return [dimmed(one, 230) for one in plain]
    return plain


KINDS = ("half_black", "frozen", "bars", "bright", "plain")


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scores") / "raw"
    folder.mkdir()
    for kind in KINDS:
        luma_video(folder / f"{kind}.mp4", pictures(kind))
    return folder


@pytest.fixture(scope="module")
def done(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Curated:
    """Return a run with all scores and no filter; nobody may change it."""
    run = Curated.below(tmp_path_factory.mktemp("done"), raw)
    assert run.curate(*STRIDE, *SCORED) == 0
    return run


def by_kind(run: Curated) -> dict[str, dict[str, Any]]:
    return {Path(meta["source_video"]).stem: meta for meta in run.metas().values()}


def test_known_videos_have_known_scores(done: Curated) -> None:
    scores = {kind: meta["scores"] for kind, meta in by_kind(done).items()}
    # Lossless and passed through: what was put in is what is measured.
    assert {kind: one["black_share"] for kind, one in scores.items()} == {
        **dict.fromkeys(KINDS, 0.0),
        "half_black": 0.6,
    }
    assert {kind: one["frozen_share"] for kind, one in scores.items()} == {
        **dict.fromkeys(KINDS, 0.0),
        "half_black": 29 / 49,
        "frozen": 45 / 49,
        "bright": 1.0,
    }
    assert scores["bars"]["picture_box"] == [0, 16, 192, 96]
    assert scores["bars"]["picture_share"] == 0.75
    assert scores["plain"]["picture_box"] == [0, 0, 192, 128]
    assert scores["bright"]["brightness"] == round(214 * 255 / 219) / 255
    assert scores["bright"]["sharpness"] == 0.0
    assert scores["plain"]["sharpness"] > 500
    assert not any("rejection" in meta for meta in by_kind(done).values())


def test_the_summary_says_how_scores_are_distributed(done: Curated) -> None:
    summary = done.read("summary.json")
    measured = [meta["scores"] for meta in done.metas().values()]
    names = ("black_share", "frozen_share", "sharpness", "brightness", "picture_share")
    assert set(summary["scores"]) == set(names)
    for name in names:
        values = np.array([one[name] for one in measured])
        found = summary["scores"][name]
        assert found["counts"] == np.histogram(values, [*EDGES[name], np.inf])[0].tolist()
        assert (found["min"], found["max"]) == (values.min(), values.max())
        assert found["edges"] == list(EDGES[name])
    edges = np.array(EDGES["black_share"])[:, None]
    values = np.array([one["black_share"] for one in measured])
    kept = summary["scores"]["black_share"]["kept_by_threshold"]["black_share_threshold"]
    assert kept == pytest.approx((values < edges).mean(axis=1))
    [record] = (done.out / "processed_clip_chunks").glob("bars*")
    counts = done.read(str(record.relative_to(done.out)))["score_counts"]
    assert counts["picture_share"]["counts"] == [0] * 7 + [1] + [0] * 6


def test_filters_decide_from_stored_scores(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Curated.below(tmp_path, raw)
    work = ChildWork.recorded(tmp_path, monkeypatch)
    assert run.curate(*STRIDE) == 0
    clips = dict.fromkeys(run.metas(), 1)
    assert not any("scores" in meta for meta in run.metas().values())
    assert "scores" not in run.read("summary.json")
    work.forget()

    assert run.curate(*STRIDE, *SCORED) == 0, "turned on later: one look, nothing is cut"
    assert (work.take("cut"), work.take("look")) == ({}, clips)
    fresh = Curated.below(tmp_path / "fresh", raw)
    fresh.out.parent.mkdir()
    assert fresh.curate(*STRIDE, *SCORED) == 0
    assert {clip: meta["scores"] for clip, meta in run.metas().items()} == {
        clip: meta["scores"] for clip, meta in fresh.metas().items()
    }
    assert run.read("summary.json")["scores"] == fresh.read("summary.json")["scores"]
    work.forget()

    enabled = tuple("enable" if word == "score-only" else word for word in SCORED)
    assert run.curate(*STRIDE, *enabled) == 0
    assert work.take() == {}, "decided from stored scores"
    found = {kind: meta.get("rejection") for kind, meta in by_kind(run).items()}
    assert found == {
        "half_black": {"filter": "black", "score": 0.6, "threshold": 0.5},
        "frozen": {"filter": "frozen", "score": 45 / 49, "threshold": 0.9},
        "bright": {"filter": "frozen", "score": 1.0, "threshold": 0.9},
        "bars": {"filter": "letterbox", "score": 0.75, "threshold": 0.9},
        "plain": None,
    }
    summary = run.read("summary.json")
    assert summary["total_num_clips_filtered_by_black"] == 1
    assert summary["total_num_clips_filtered_by_frozen"] == 2
    assert summary["total_num_clips_filtered_by_letterbox"] == 1
    assert "total_num_clips_filtered_by_sharpness" not in summary
    assert summary["scores"] == fresh.read("summary.json")["scores"], "rejected ones count too"
    ledgers = [run.read(f"runs/{path.name}")["ledger"] for path in run.out.glob("runs/0*.json")]
    assert {"black": 1, "frozen": 2, "letterbox": 1} in [one["rejected"] for one in ledgers]

    milder = (*STRIDE, *enabled, "--frozen_share_threshold", "1", "--black_share_threshold", "0.7")
    assert run.curate(*milder, "--picture_share_threshold", "0.7", "--accept_changes") == 0
    assert work.take() == {}, "a changed threshold is decided again"
    again = {kind: meta.get("rejection") for kind, meta in by_kind(run).items()}
    assert again == {
        "half_black": {"filter": "sharpness", "score": 0.0, "threshold": 20.0},
        "bright": {"filter": "frozen", "score": 1.0, "threshold": 1.0},
        **dict.fromkeys(("frozen", "bars", "plain")),
    }
    assert main(["verify", str(run.out)]) == 0


def test_two_runs_give_the_same_bytes(done: Curated, raw: Path, tmp_path: Path) -> None:
    run = Curated.below(tmp_path, raw)
    assert run.curate(*STRIDE, *SCORED) == 0
    assert run.trees() == done.trees()


def test_records_of_before_there_were_distributions_are_no_damage(
    raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Curated.below(tmp_path, raw)
    assert run.curate(*STRIDE, "--black_filter", "score-only") == 0
    for path in (run.out / "processed_clip_chunks").iterdir():
        _rewrite(path, lambda record: record.pop("score_counts"))
    assert main(["verify", str(run.out)]) != 0
    assert "summary.json" in capsys.readouterr().out
    _rewrite(run.out / "summary.json", lambda summary: summary.pop("scores"))
    assert main(["verify", str(run.out)]) == 0
    [path] = (run.out / "processed_clip_chunks").glob("plain*")
    _rewrite(path, lambda record: record.update(score_counts={}))
    assert main(["verify", str(run.out)]) != 0
    assert "score_counts: not what its clips say" in capsys.readouterr().out


def _rewrite(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content, sort_keys=True, indent=4) + "\n")


def test_unknown_settings_are_refused(done: Curated, capsys: pytest.CaptureFixture[str]) -> None:
    assert done.curate(*STRIDE, "--black_filter", "on") == 2
    assert "black_filter must be one of disable, enable, score-only" in capsys.readouterr().err
    assert done.curate(*STRIDE, "--black_share_threshold", "0") == 2
    assert "black_share_threshold must be" in capsys.readouterr().err
