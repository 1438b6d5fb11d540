"""``verify`` and a version of the annotations: what is missing or damaged is named and mended."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from caption_server import CaptionServer, known_server
from make_video import VideoSpec, make_video
from run_command import Curated
from test_captions import CUT
from test_recaption import UPSTREAM, digests, recaption
from upstream_tree import write_upstream_tree

from beam_pipeline.cli import main


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[CaptionServer]:
    """Return a running server that the program knows of."""
    with known_server(monkeypatch) as running:
        yield running


@pytest.fixture
def out(tmp_path: Path, server: CaptionServer) -> Path:
    """Return a small output with a version v1 of its captions."""
    (tmp_path / "raw").mkdir()
    make_video(tmp_path / "raw" / "a.mp4", VideoSpec(seconds=4.5, size=(64, 48)))
    run = Curated.below(tmp_path, tmp_path / "raw")
    assert run.curate(*CUT, "--generate_captions", "false") == 0
    assert recaption(run.out) == 0
    return run.out


def change(path: Path, **fields: Any) -> None:
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, **fields}))


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def a_meta(out: Path) -> Path:
    return min((out / "metas" / "v1").iterdir())


DAMAGES: dict[str, Callable[[Path], object]] = {
    "metadata that is cut off": lambda out: cut_off(a_meta(out)),
    "metadata of other fields": lambda out: change(a_meta(out), width=7),
    "a caption more than is said": lambda out: change(a_meta(out), has_caption=False),
    "metadata that is gone": lambda out: a_meta(out).unlink(),
    "a summary that is not true": lambda out: change(
        out / "annotations/v1/summary.json", num_caption_windows=99
    ),
    "statistics that are cut off": lambda out: cut_off(
        out / "annotations/v1/caption_quality_stats.json"
    ),
    "captions that are cut off": lambda out: cut_off(out / "v1/all_window_captions.json"),
    "captions that are gone": lambda out: (out / "v1/all_window_captions.json").unlink(),
    "a failure that is none": lambda out: (
        (out / "annotations/v1/failures").mkdir(),
        (out / "annotations/v1/failures" / "x.json").write_text("{}"),
    ),
}


def test_a_version_that_is_whole_is_found_whole(
    out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = digests(out)
    capsys.readouterr()
    assert main(["verify", str(out)]) == 0
    assert "captions  version v1" in capsys.readouterr().out
    assert digests(out) == before


@pytest.mark.parametrize("name", sorted(DAMAGES))
def test_damage_is_named_and_mended_to_the_same_bytes(
    out: Path, server: CaptionServer, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    before = digests(out)
    DAMAGES[name](out)
    capsys.readouterr()
    assert main(["verify", str(out)]) == 1
    assert "annotation v1" in capsys.readouterr().out
    assert main(["verify", str(out), "--repair"]) == 1
    server.requests.clear()
    assert recaption(out) == 0
    assert len(server.requests) <= 3, "of one clip at most"
    assert digests(out) == before
    assert main(["verify", str(out)]) == 0


def test_a_run_that_did_not_end_is_incomplete_and_not_damaged(
    out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert recaption(out, "--annotation_version", "v2", "--limit", "1") == 0
    assert main(["verify", str(out)]) == 0, "no more than the limit is expected"
    for name in ("summary.json", "caption_quality_stats.json"):
        (out / "annotations" / "v2" / name).unlink()
    capsys.readouterr()
    assert main(["verify", str(out)]) == 1
    said = capsys.readouterr().out
    assert "annotation v2" in said
    assert recaption(out, "--annotation_version", "v2", "--limit", "1") == 0
    assert main(["verify", str(out)]) == 0


def test_an_output_of_upstream_with_new_captions_is_verified(
    made_video: Callable[[str, VideoSpec], Path],
    server: CaptionServer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "upstream"
    write_upstream_tree(out, UPSTREAM, made_video)
    assert main(["verify", str(out)]) == 2
    assert recaption(out) == 0
    assert main(["verify", str(out)]) == 0
    change(a_meta(out), height=7)
    capsys.readouterr()
    assert main(["verify", str(out)]) == 1
    assert "height: not what split wrote" in capsys.readouterr().out
