"""Every caption on its own window, whatever lies between the clips, whatever the server does."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from caption_server import KEY, MODEL, CaptionServer, caption_server, frames_digest
from make_video import VideoSpec

from transforms.annotate.caption_clips import CaptionClips
from transforms.annotate.caption_settings import CaptionSettings, EngineSpec
from transforms.media.clip_files import clip_path
from transforms.models.captions.settings import OpenAISettings
from transforms.records import Clip, ClipFile, ClipSource, Failure, Rejection, Window
from transforms.run_context import RunContext

KINDS: dict[str, tuple[tuple[int, int], ...]] = {
    "two windows": ((0, 12), (12, 25)),
    "one window": ((0, 25),),
    "rejected": ((0, 15),),
    "failed": (),
    "broken": ((0, 5), (5, 10)),
}
"""Kind of clip to its caption windows; ``broken``: of its file no window can be taken."""
ASKED = ("two windows", "one window")
SIZES = {"two windows": (64, 48), "one window": (48, 64), "rejected": (96, 64)}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[CaptionServer]:
    """Return a running server that engines know of."""
    with caption_server() as running:
        monkeypatch.setenv("OPENAI_BASE_URL", running.url)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        yield running


@dataclass
class Stage:
    """The real stage, fed with clips of chosen kinds."""

    folder: Path
    files: dict[str, Path]
    retries: int = 3

    def run(self, kinds: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Run clips of these kinds through the stage; return what came out, by clip."""
        clips = [self._clip(kind, number) for number, kind in enumerate(kinds)]
        engine = OpenAISettings(MODEL, None, slots=4, retries=self.retries, retry_delay_seconds=0)
        context = RunContext(
            root=str(self.folder / "out"),
            run_id="run",
            scratch=str(self.folder),
            progress_folder=str(self.folder / "progress"),
            stages=(),
            spans_fingerprint="",
        )
        settings = CaptionSettings(EngineSpec("openai", engine), "What moves?")
        results = self.folder / "results"
        results.unlink(missing_ok=True)
        with beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner"])) as root:
            captioned = root | beam.Create(clips) | CaptionClips(settings, context)
            _ = captioned | beam.Map(_note, str(results))
        found = [json.loads(line) for line in results.read_text().splitlines()]
        assert sorted(one["clip"] for one in found) == sorted(clip.clip_id for clip in clips)
        return {one["clip"]: one for one in found}

    def check(self, kinds: Sequence[str], found: dict[str, dict[str, Any]]) -> None:
        """Assert that every window that was asked about has its own caption, and no other one."""
        for number, kind in enumerate(kinds):
            one = found[f"{number:04d}-{kind}"]
            assert one["outcome"] == (kind if kind in ("rejected", "failed") else "pending")
            if kind in ASKED:
                assert one["captions"] == [
                    [start, end, "success", f"seen {frames_digest(self.files[kind], (start, end))}"]
                    for start, end in KINDS[kind]
                ]
            elif kind == "broken":
                assert [caption[:3] for caption in one["captions"]] == [
                    [start, end, "error"] for start, end in KINDS[kind]
                ]
            else:
                assert one["captions"] == []

    def _clip(self, kind: str, number: int) -> Clip:
        clip_id = f"{number:04d}-{kind}"
        if kind == "failed":
            clip = Clip(clip_id, "", "a.mp4", number, 0)
            return clip.failed(Failure("look", "clip_does_not_decode", "damaged"))
        path = clip_path(self.folder / "scratch", clip_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.hardlink_to(self.files[kind])
        windows = tuple(Window(start, end, 1) for start, end in KINDS[kind])
        size = SIZES.get(kind, (64, 48))
        file = ClipFile(
            1, "", *size, 25.0, windows[-1].end_frame, "h264", (0, 1), "encode", windows
        )
        clip = Clip(
            clip_id,
            "",
            "a.mp4",
            number,
            0,
            file=file,
            scratch=str(self.folder / "scratch"),
            source=ClipSource("a.mp4", 0.0),
        )
        return clip.rejected(Rejection("motion", 0.0, 1.0)) if kind == "rejected" else clip


def _note(clip: Clip, path: str) -> None:
    captions = [
        (one.start_frame, one.end_frame, one.answer.status, one.answer.text)
        for one in clip.captions
    ]
    line = {"clip": clip.clip_id, "outcome": clip.outcome, "captions": captions}
    with Path(path).open("a") as file:
        file.write(json.dumps(line) + "\n")


@pytest.fixture
def stage(made_video: Callable[[str, VideoSpec], Path], tmp_path: Path) -> Stage:
    """Return the stage and clips that all look different."""
    files = {
        kind: made_video("clip.mp4", VideoSpec(seconds=1, size=size))
        for kind, size in SIZES.items()
    }
    files["broken"] = tmp_path / "broken.mp4"
    files["broken"].write_bytes(b"no video")
    return Stage(tmp_path, files)


def windows_asked(kinds: Sequence[str]) -> int:
    return sum(len(KINDS[kind]) for kind in kinds if kind in ASKED)


def test_kept_rejected_and_failed_clips_in_every_order(stage: Stage, server: CaptionServer) -> None:
    kinds = [kind for order in itertools.permutations(KINDS) for kind in order]
    found = stage.run(kinds)
    stage.check(kinds, found)
    assert len(server.requests) == windows_asked(kinds) == 360
    assert not server.problems


@pytest.mark.parametrize("seed", range(4))
def test_no_clip_is_lost_whatever_the_server_does(
    stage: Stage, server: CaptionServer, seed: int
) -> None:
    chosen = random.Random(seed)
    kinds = chosen.choices(list(KINDS), k=25)
    ways = ("429", "500", "drop", "garbage", "page", "odd", "slow", None, None, None)
    plans = [chosen.choice(ways) for _ in range(1000)]
    server.misbehave = lambda number: plans[number]
    stage.retries = 20
    stage.check(kinds, stage.run(kinds))
    failed = sum(way not in (None, "slow") for way in plans[: len(server.requests)])
    assert len(server.requests) == windows_asked(kinds) + failed


def test_a_server_that_only_fails_costs_captions_and_no_clip(
    stage: Stage, server: CaptionServer
) -> None:
    server.misbehave = lambda _: "500"
    stage.retries = 2
    kinds = list(KINDS)
    found = stage.run(kinds)
    for kind in ASKED:
        (one,) = [one for name, one in found.items() if name.endswith(kind)]
        assert {caption[2] for caption in one["captions"]} == {"error"}
    assert len(server.requests) == 3 * windows_asked(kinds)


def test_a_context_that_is_too_short_is_said_once_per_window(
    stage: Stage, server: CaptionServer
) -> None:
    server.misbehave = lambda _: "400"
    kinds = list(KINDS)
    found = stage.run(kinds)
    assert {caption[2] for one in found.values() for caption in one["captions"]} == {"error"}
    assert len(server.requests) == windows_asked(kinds), "what cannot succeed is not tried again"
