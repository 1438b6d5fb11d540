"""The summary of many videos is written one entry at a time, to the bytes of the whole."""

from __future__ import annotations

import io
import json
import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from transforms.clips.summary import CLIP_COUNTERS, make_summary, write_summary
from transforms.clips.summary_entries import SummaryEntries, summary_entries
from transforms.json_files import json_bytes, write_json
from transforms.layout import chunk_record_uri, summary_uri, video_record_uri

NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUES = st.recursive(
    st.none() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=4)
THIS_RUN = {
    "num_input_videos": 3,
    "num_input_videos_selected": 2,
    "pipeline_run_time": 1.5,
    "embedding_algorithm": "none",
    "resolved": {},
}


@given(videos=st.dictionaries(NAMES | st.just("videos"), OBJECTS, max_size=5), fields=OBJECTS)
def test_the_bytes_are_those_of_the_whole(videos: dict[str, Any], fields: dict[str, Any]) -> None:
    fields.pop("videos", None)
    file = io.StringIO()
    with tempfile.TemporaryDirectory() as scratch, summary_entries(Path(scratch)) as entries:
        for rel in videos:
            entries.add(rel, {"replaced": True})
        for rel, entry in reversed(videos.items()):
            entries.add(rel, entry)
        entries.write(file, fields)
    assert file.getvalue().encode() == json_bytes({**videos, **fields, "videos": videos})


def test_what_came_first_is_told_apart_and_nothing_stays(tmp_path: Path) -> None:
    entries = SummaryEntries(tmp_path / "entries")
    entries.add("a", {})
    first = entries.num_bytes
    entries.add("b", {})
    assert [entries.is_within(rel, first) for rel in "abc"] == [True, False, False]
    entries.close()
    assert list(tmp_path.iterdir()) == []


def make_records(root: Path, *, num_videos: int, num_clips: int) -> None:
    """Write the records of videos, and of a run that also selected one that failed."""
    sources = []
    for number in range(num_videos):
        # As paths these sort otherwise than as names of records: "a.mp4" and "a.b/a.mp4".
        rel = f"{number}.b/{number}.mp4" if number % 2 else f"{number - number % 4}.mp4{number}"
        source = f"/raw/{rel}"
        sources.append([rel, source, source])
        record = {
            "video": source,
            "video_uuid": f"{number:032}",
            "num_total_clips": num_clips,
            "num_clip_chunks": 1,
            "duration": 0.1 * number,
            "num_bytes": 1000 + number,
        }
        chunk = {
            "clips": [f"{number:016}-{clip:019}" for clip in range(num_clips)],
            "filtered_clips": [],
            "failed_clips": [],
            **dict.fromkeys(CLIP_COUNTERS, number),
            "total_clip_duration": 0.1 * number,
            "max_clip_duration": 0.1,
            "total_prompt_tokens": 1,
            "total_output_tokens": 2,
        }
        write_json(video_record_uri(str(root), rel), record)
        write_json(chunk_record_uri(str(root), rel, 0), chunk)
    failed = [["failed.mp4", "/raw/failed.mp4", "/raw/failed.mp4"]]
    write_json(str(root / "runs" / "0001.json"), {"videos": sources + failed})


def test_a_summary_of_records_and_an_earlier_one_is_kept(tmp_path: Path) -> None:
    make_records(tmp_path / "out", num_videos=9, num_clips=3)
    root, scratch = str(tmp_path / "out"), tmp_path / "scratch"
    whole = make_summary(root, THIS_RUN)
    assert whole["videos"]["failed.mp4"] == {"source_video": "/raw/failed.mp4", "processed": False}
    assert whole["total_num_clips_passed"] == sum(range(9))
    assert whole["total_video_duration"] == sum((0.1 * number for number in range(9)), 0.0)
    write_json(summary_uri(root), {"earlier": True})
    fields = write_summary(root, THIS_RUN, scratch=scratch)
    assert Path(summary_uri(root)).read_bytes() == json_bytes(whole)
    assert json.loads(Path(f"{summary_uri(root)}.bak1").read_text()) == {"earlier": True}
    assert fields == {name: whole[name] for name in whole if name in fields}
    assert list(scratch.iterdir()) == []


def test_memory_does_not_grow_with_the_clips(tmp_path: Path) -> None:
    make_records(tmp_path / "few", num_videos=100, num_clips=10)
    make_records(tmp_path / "many", num_videos=100, num_clips=1000)

    def written(name: str) -> Callable[[], object]:
        return lambda: write_summary(str(tmp_path / name), THIS_RUN, scratch=tmp_path / "scratch")

    written("few")()
    # 100,000 ids are 8 MB at least; the entry of one video is 0.1 MB, in a few forms at once.
    assert peak_of(lambda: make_summary(str(tmp_path / "many"), THIS_RUN)) > 8_000_000
    assert peak_of(written("many")) < peak_of(written("few")) + 1_500_000


def peak_of(work: Callable[[], object]) -> int:
    """Return the most bytes that Python held at one time for it."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
