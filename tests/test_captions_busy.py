"""The engine never runs dry while clips come, whichever runner brings them (architecture §6)."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from busy_engine import BusySettings, BusySpec, busy
from records_for_tests import make_facts

from runners.chosen import chosen
from transforms.annotate.caption_clips import CaptionClips
from transforms.annotate.caption_settings import CaptionSettings
from transforms.clips.plan import Plan, plan_to_json
from transforms.json_files import write_json
from transforms.layout import lease_uri
from transforms.lease import hold_lease
from transforms.media.clip_files import frames_folder
from transforms.records import Clip, ClipFile, Rejection, Span, Video, Window
from transforms.run_context import RunContext

NUM_WINDOWS = 5_000
ENOUGH = 0.95
MODES = {
    "in_memory": ["--runner=DirectRunner", "--direct_running_mode=in_memory"],
    "multi_processing": [
        "--runner=DirectRunner",
        "--direct_running_mode=multi_processing",
        "--direct_num_workers=2",
    ],
    "portable": ["--runner=PortableRunner"],
}


@dataclasses.dataclass(frozen=True)
class Scene:
    """Clips whose frames lie ready, so that nothing but captions takes time."""

    clips: list[Clip]
    context: RunContext
    captions: CaptionSettings

    @classmethod
    def below(cls, folder: Path) -> Scene:
        """Make clips of one to four windows, every tenth of them rejected before."""
        context = RunContext(
            root=str(folder / "out"),
            run_id="run",
            scratch=str(folder / "scratch"),
            progress_folder=str(folder / "progress"),
            stages=(("captions", "1"),),
            spans_fingerprint="1",
            captioning_algorithm="qwen",
        )
        for name in ("out/.work", "diaries", "progress"):
            (folder / name).mkdir(parents=True)
        clips: list[Clip] = []
        asked = 0
        while asked < NUM_WINDOWS:
            count = min(1 + len(clips) % 4, NUM_WINDOWS - asked)
            clip = _clip(len(clips), count, folder)
            if len(clips) % 10 == 9:
                clip = clip.rejected(Rejection("motion", 0.0, 1.0))
            else:
                asked += count
            clips.append(clip)
        _write_plan(folder, clips)
        spec = BusySpec("busy", BusySettings(str(folder / "diaries")))
        return cls(clips, context, CaptionSettings(spec, "what is it?"))


def _clip(number: int, num_windows: int, folder: Path) -> Clip:
    clip_id = f"clip-{number:05d}"
    windows = tuple(Window(30 * place, 30 * (place + 1), 1) for place in range(num_windows))
    file = ClipFile(
        *(1, "0", 64, 48, 30.0, 30 * num_windows, "h264", (0, 1), "encode"), windows=windows
    )
    scratch = folder / "scratch" / "worker"
    frames = frames_folder(scratch, clip_id)
    frames.mkdir(parents=True)
    for window in windows:
        (frames / f"{window.start_frame}_{window.end_frame - 1}.npy").touch()
    plan_uri = str(folder / "out" / ".work" / "plan.json")
    return Clip(clip_id, plan_uri, "a.mp4", number, 0, file=file, scratch=str(scratch))


def _write_plan(folder: Path, clips: list[Clip]) -> None:
    spans = tuple(Span(clip.clip_id, 0.0, 1.0, Fraction(0), Fraction(1)) for clip in clips)
    video = Video(uri="/raw/a.mp4", rel="a.mp4", source_id="/raw/a.mp4", num_bytes=1)
    ranges = ((0, len(clips)),)
    plan = Plan(video, make_facts(), "identity", spans, ranges, ((0, 1),), (), "1")
    write_json(clips[0].plan_uri, plan_to_json(plan))


def note(clip: Clip, folder: str) -> None:
    """Write down what a clip came out with; each process has a file of its own."""
    said = [(one.start_frame, one.answer.text) for one in clip.captions]
    line = json.dumps([clip.clip_id, clip.outcome, said]) + "\n"
    with (Path(folder) / str(os.getpid())).open("a") as file:
        file.write(line)


def graph(scene: Scene, notes: Path) -> Callable[[Any], None]:
    """Return a graph whose stage is that of ``split``."""

    def build(root: Any) -> None:
        _ = (
            root
            | beam.Create(scene.clips)
            | beam.Reshuffle()
            | CaptionClips(scene.captions, scene.context)
            | "Note" >> beam.Map(note, str(notes))
        )

    return build


@pytest.mark.timeout(180)
@pytest.mark.skipif(
    os.environ.get("REQUIRE_QUIET") != "1",
    reason="measures shares of time: needs the machine for itself (REQUIRE_QUIET=1)",
)
@pytest.mark.parametrize("mode", MODES)
def test_the_engine_is_busy(mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tests = str(Path(__file__).parent)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((tests, str(Path.cwd()))))
    scene = Scene.below(tmp_path)
    notes = tmp_path / "notes"
    notes.mkdir()
    runner = chosen(MODES[mode])
    runner.prepare(MODES[mode])
    with hold_lease(lease_uri(scene.context.root), scene.context.run_id):
        runner.run(graph(scene, notes), MODES[mode])
    check_clips(scene, notes)
    settings = scene.captions.engine.settings
    assert isinstance(settings, BusySettings)
    found = list(busy(settings))
    assert sum(one.num_requests for one in found) == NUM_WINDOWS
    assert len(found) == (2 if mode == "multi_processing" else 1)
    assert min(one.share for one in found) >= ENOUGH, found


def check_clips(scene: Scene, notes: Path) -> None:
    """Check that every clip came out once, with its own windows' answers."""
    lines = [line for file in notes.iterdir() for line in file.read_text().splitlines()]
    assert len(lines) == len(scene.clips)
    came = {clip_id: (outcome, said) for clip_id, outcome, said in map(json.loads, lines)}
    for clip in scene.clips:
        assert clip.file is not None
        expected = [
            [one.start_frame, f"{clip.clip_id}_{one.start_frame}_{one.end_frame - 1}"]
            for one in clip.file.windows
        ]
        asked = clip.outcome == "pending"
        assert came[clip.clip_id] == (clip.outcome, expected if asked else [])
