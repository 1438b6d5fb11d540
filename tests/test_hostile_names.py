"""File names that try to leave the output, end the run, or speak in the program's name."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from broken_bases import base
from hostile_outcomes import outcomes
from wrong_use import listing, split, use, use_process

Capture = pytest.CaptureFixture[str]
LONGEST = "n" * 238 + ".mp4"
"""The longest name that leaves room for the names of its records."""
GOOD = (
    "ok.mp4",
    "OK.mp4",
    "ok.MP4",
    "\u00e9.mp4",
    "e\u0301.mp4",
    "forged\nWARNING transforms.failures: look failed: ok.mp4\n.mp4",
    "escape\x1b[31m\t.mp4",
    "..mp4",
    "...",
    " .mp4",
    "-rf.mp4",
    "%s%n%(x)d.mp4",
    "file:ok.mp4",
    "concat:ok.mp4|OK.mp4",
    "{uuid}.mp4",
    "summary.json.mp4",
    LONGEST,
    "videos",
    "ok.mp4.json.mp4",
    "sub/..mp4/ok.mp4",
)
BROKEN = "look\nERROR forged: all is lost.mp4"


def make_odd_input(folder: Path) -> dict[str, str]:
    """Fill an input with odd names; return what must be left out and a piece of the reason."""
    raw = folder / "raw"
    video = base("moov_last.mp4")
    for name in GOOD:
        (raw / name).parent.mkdir(parents=True, exist_ok=True)
        (raw / name).write_bytes(video)
    (raw / BROKEN).write_bytes(b"no video")
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere" / "far.mp4").write_bytes(video)
    (raw / "link.mp4").symlink_to(folder / "elsewhere" / "far.mp4")
    left_out = {
        "n" * 251 + ".mp4": "has a name of 255 bytes",
        os.fsdecode(b"bad\xff.mp4"): "not valid UTF-8",
        os.fsdecode(b"bad\xfe/b.mp4"): "not valid UTF-8",
        "ok.mp4.json/b.mp4": "named like a record of another video",
        "OK.mp4_17.json/b/c.mp4": "named like a record of another video",
        "/".join(["d" * 200] * 11) + "/deep.mp4": "bytes below the input",
    }
    for name in left_out:
        _write_deep(raw / name, video)
    os.mkfifo(raw / "pipe.mp4")
    (raw / "dangling.mp4").symlink_to(folder / "nowhere.mp4")
    (raw / "loop").symlink_to(raw)
    (raw / "up").symlink_to("/")
    return left_out | {
        "pipe.mp4": "not a regular file",
        "dangling.mp4": "cannot be read",
        "loop": "symlink loop",
        "up": "symlink loop",
    }


def _write_deep(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def test_odd_names_neither_end_the_run_nor_leave_the_output(tmp_path: Path) -> None:
    left_out = make_odd_input(tmp_path)
    raw, out = tmp_path / "raw", tmp_path / "out"
    before = listing(tmp_path)

    ended = use_process(*split(raw, out, "--max_failed_share", "1"))

    assert ended.status == 3, ended.err
    found = outcomes(out)
    kinds = {rel: outcome.kind for rel, outcome in found.items()}
    assert kinds == dict.fromkeys((*GOOD, "link.mp4"), "curated") | {BROKEN: "failed"}
    assert [text for outcome in found.values() for text in outcome.problems] == []
    ids = {clip for outcome in found.values() for clip in outcome.clips}
    assert {path.stem for path in (out / "clips").iterdir()} == ids
    assert len(ids) == 2 * (len(GOOD) + 1)
    after = {
        name: facts for name, facts in listing(tmp_path).items() if name.split("/")[0] != "out"
    }
    assert after == before
    assert "\nERROR forged" not in ended.err
    assert "\nWARNING transforms.failures: look failed" not in ended.err
    assert "look\\nERROR forged" in ended.err
    problems = dict(json.loads((out / "runs" / "0001.json").read_text())["problems"])
    for name, reason in left_out.items():
        shown = os.fsencode(raw / name).decode("utf-8", "surrogateescape")
        shown = shown.encode("utf-8", "backslashreplace").decode()
        assert reason in problems.pop(shown)
    assert problems == {}


@pytest.mark.parametrize(
    ("path", "needle"),
    [
        ("{raw}/../elsewhere/far.mp4", "does not lie below input_video_path"),
        ("{raw}/sub/../../elsewhere/far.mp4", "does not lie below input_video_path"),
        ("/etc/passwd", "does not lie below input_video_path"),
        ("{raw}x/a.mp4", "does not lie below input_video_path"),
        ("{raw}", "does not lie below input_video_path"),
        ("../../../../../../etc/passwd", "does not lie below input_video_path"),
        ("{raw}/a\0.mp4", "is no path of a file"),
        ("{raw}/\ud800.mp4", "is no path of a file"),
        ("{raw}/../a\nbeam-curate: forged", "does not lie below input_video_path"),
    ],
)
def test_an_input_list_cannot_name_what_lies_elsewhere(
    path: str, needle: str, tmp_path: Path, capsys: Capture
) -> None:
    raw, out, chosen = tmp_path / "raw", tmp_path / "out", tmp_path / "list.json"
    raw.mkdir()
    (raw / "a.mp4").write_bytes(base("moov_last.mp4"))
    chosen.write_text(json.dumps([path.format(raw=raw)]))

    ended = use(capsys, *split(raw, out, "--input_video_list_json_path", chosen))

    assert ended.status == 2
    ended.told(str(chosen), needle)
    assert len(ended.complaints) == 1
    assert not (out / "clips").exists()


def test_a_pipe_in_an_input_list_is_left_out(tmp_path: Path, capsys: Capture) -> None:
    raw, out, chosen = tmp_path / "raw", tmp_path / "out", tmp_path / "list.json"
    raw.mkdir()
    (raw / "a.mp4").write_bytes(base("moov_last.mp4"))
    os.mkfifo(raw / "pipe.mp4")
    chosen.write_text(json.dumps([str(raw / "a.mp4"), str(raw / "pipe.mp4")]))

    ended = use(capsys, *split(raw, out, "--input_video_list_json_path", chosen))

    assert ended.status == 0, ended.err
    assert {rel: outcome.kind for rel, outcome in outcomes(out).items()} == {"a.mp4": "curated"}
