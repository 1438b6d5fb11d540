"""Two writers of one clip, interleaved step by step: in the end everything stored agrees."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from records_for_tests import make_facts
from step_storage import StepStorage, Writer, run_together

from transforms.clips import settle_clip
from transforms.clips.chunk_tally import ChunkTally, commit_chunk
from transforms.clips.clip_metadata import clip_metadata
from transforms.clips.clip_state import read_clip_state
from transforms.clips.commit_clip import commit_clip, settle_committed
from transforms.clips.plan import Plan
from transforms.json_files import create_json, read_json
from transforms.layout import clip_uri, meta_uri, previews_uri
from transforms.media.clip_files import clip_path, preview_folder
from transforms.records import Clip, ClipFile, Rejection, Span, Video, Window
from transforms.run_context import RunContext
from transforms.storage import open_storage
from transforms.storage.open_storage import storage_for
from transforms.storage.sync import syncing

CLIP = "6c1f5d3e-0000-5000-8000-000000000001"
REL = "a.mp4"
MOST_STEPS = 14
"""More storage calls than a writer makes that meets nobody."""


@dataclass(frozen=True)
class Made:
    """What one writer has made of the clip."""

    content: bytes
    is_rejected: bool = False
    previews: tuple[tuple[str, bytes], ...] = ()


A = Made(b"mp4 of A" * 50, previews=(("0_49.webp", b"preview of A"),))
B = Made(b"mp4 of B" * 50, previews=(("0_49.webp", b"preview of B"),))
LONGER = Made(b"mp4 of B" * 60, previews=(("0_59.webp", b"B 0"), ("60_99.webp", b"B 1")))
REJECTED = Made(b"mp4 of B" * 50, is_rejected=True)
REJECTED_A = replace(A, is_rejected=True, previews=())
PAIRS = {
    "same": (A, A),
    "other-bytes": (A, B),
    "other-previews": (A, LONGER),
    "kept-rejected": (A, REJECTED),
}
STALE = Made(b"mp4 of Z" * 50, previews=(("7_9.webp", b"of Z"), ("0_49.webp", b"preview of Z")))


class World:
    """One output with one planned clip; each writer has a scratch folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "out"
        self.context = RunContext(
            root=str(self.root),
            run_id="run",
            scratch=str(folder / "scratch"),
            progress_folder=str(folder / "progress"),
            stages=(("cut", "1"), ("motion_filter", "1"), ("previews", "1")),
            spans_fingerprint="1",
        )
        span = Span(CLIP, 0.0, 2.0, Fraction(0), Fraction(2))
        video = Video(uri="/raw/a.mp4", rel=REL, source_id="/raw/a.mp4", num_bytes=1)
        self.plan = Plan(video, make_facts(), "identity", (span,), ((0, 1),), ((0, 1),), (), "1")
        self._num_scratch = 0

    def clip(self, made: Made, **changes: Any) -> Clip:
        """Return the clip as the cut hands it on, its files in a new scratch folder."""
        self._num_scratch += 1
        scratch = self.folder / "scratch" / f"worker-{self._num_scratch}"
        path = clip_path(scratch, CLIP)
        path.parent.mkdir(parents=True)
        path.write_bytes(made.content)
        for name, content in made.previews:
            preview_folder(scratch, CLIP).mkdir(exist_ok=True)
            (preview_folder(scratch, CLIP) / name).write_bytes(content)
        digest = hashlib.sha256(made.content).hexdigest()
        size = len(made.content)
        windows = (Window(0, 50, size),)
        file = ClipFile(size, digest, 64, 64, 25.0, 50, "h264", (0, 50), "encode", windows)
        clip = Clip(
            clip_id=CLIP,
            plan_uri="",
            rel=REL,
            clip_index=0,
            chunk_index=0,
            file=file,
            scratch=str(scratch),
            preview_names=tuple(name for name, _ in made.previews),
        )
        if made.is_rejected:
            clip = clip.rejected(Rejection("motion", 0.0, 1.0))
        return clip.updated(**changes)

    def leave(self, made: Made, *, meta: bool = False, damaged: bool = False) -> None:
        """Leave what a killed writer left, or with ``meta`` a commit, perhaps damaged since."""
        clip = self.clip(made)
        uri = clip_uri(str(self.root), CLIP, rejected=made.is_rejected)
        storage_for(uri).write(uri, made.content[:-3] if damaged else made.content)
        for name, content in made.previews:
            uri = previews_uri(str(self.root), CLIP, name)
            storage_for(uri).write(uri, content)
        if meta:
            context = replace(self.context, stages=(("cut", "1"),))
            create_json(meta_uri(str(self.root), CLIP), clip_metadata(clip, self.plan, context))

    def commit(self, clip: Clip) -> dict[str, Any]:
        return commit_clip(clip, self.plan, self.context)

    def commit_all(self, clip: Clip) -> None:
        """Commit the clip and its chunk, as WriteClips does."""
        commit_chunk(ChunkTally(self.plan, 0, metas=[self.commit(clip)]), self.context)

    def resume(self, made: Made) -> None:
        """Do what the next run does with a chunk without a record."""
        clip = Clip(clip_id=CLIP, plan_uri="", rel=REL, clip_index=0, chunk_index=0)
        state = read_clip_state(clip, self.context, has_record=False)
        if state.clip.outcome == "committed":
            settle_committed(CLIP, self.context)
        elif state.clip.redone:
            self.commit(self.clip(made, redone=True))
        else:
            self.commit(self.clip(made))

    def problems(self) -> list[str]:
        """Return what does not agree, told by the standard library alone."""
        meta = json.loads((self.root / "metas" / "v0" / f"{CLIP}.json").read_text())
        folders = ["clips", "filtered_clips"]
        if "rejection" in meta:
            folders.reverse()
        here, other = (self.root / folder / f"{CLIP}.mp4" for folder in folders)
        found = [] if meta["clip_location"] == str(here) else ["location"]
        if not here.exists():
            found.append("no mp4")
        elif hashlib.sha256(here.read_bytes()).hexdigest() != meta["sha256"]:
            found.append("other mp4")
        if other.exists():
            found.append("mp4 in both folders")
        previews = {path.name for path in (self.root / "previews").rglob("*") if path.is_file()}
        if previews != set(meta.get("previews", ())):
            found.append(f"previews {previews}")
        return found

    def previews(self) -> set[tuple[str, bytes]]:
        """Return name and content of each preview."""
        folder = self.root / "previews" / CLIP
        return {(path.name, path.read_bytes()) for path in folder.glob("*")}

    def standing(self, writers: tuple[Made, ...]) -> list[Made]:
        """Return the writers whose clip it is that stands."""
        meta = json.loads((self.root / "metas" / "v0" / f"{CLIP}.json").read_text())
        return [
            made
            for made in writers
            if hashlib.sha256(made.content).hexdigest() == meta["sha256"]
            and made.is_rejected == ("rejection" in meta)
            and {name for name, _ in made.previews} == set(meta.get("previews", ()))
        ]


LEFT: dict[str, Callable[[World], None]] = {
    "nothing": lambda world: None,
    "stale-kept": lambda world: world.leave(STALE),
    "stale-rejected": lambda world: world.leave(replace(STALE, is_rejected=True, previews=())),
    "damaged-commit": lambda world: world.leave(STALE, meta=True, damaged=True),
}


@pytest.fixture(autouse=True)
def _steps(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(open_storage, "_client", lambda *_: STORAGE)
    monkeypatch.setattr(settle_clip, "_LONGEST_WAIT_SECONDS", 0)
    with syncing(False):
        yield


STORAGE = StepStorage()


Run = Callable[[list[int], int], bool]
"""Runs a fresh world in the order of a schedule, then one writer to its end, then the other."""


def run_two_switches(run: Run, *, share: float = 1.0) -> None:
    """Run all orders in which one goes i steps, the other j, the first to its end, the other.

    Of most of them only a share, drawn with a seed.
    """
    generator = random.Random(3)
    for first in (0, 1):
        for num_first in itertools.count():
            for num_second in itertools.count():
                if num_second and generator.random() > share:
                    continue
                order = [first] * num_first + [1 - first] * num_second
                if run(order, first):
                    break
            if num_second == 0:
                break


def run_drawn(run: Run, num_orders: int) -> None:
    """Run orders drawn with a seed, some of long stretches, some of short ones."""
    generator = random.Random(4)
    for _ in range(num_orders):
        stretch = generator.choice((1, 1, 2, 4))
        turns = [generator.randrange(2) for _ in range(80 // stretch)]
        run([turn for turn in turns for _ in range(stretch)], 0)


@pytest.fixture
def new_world(tmp_path: Path) -> Iterator[Callable[[], World]]:
    """Return a function that makes a new, empty world, in memory where that is possible."""
    memory = Path("/dev/shm")
    above = memory if os.access(memory, os.W_OK) else tmp_path
    with tempfile.TemporaryDirectory(dir=above) as name:
        numbers = itertools.count()

        def make() -> World:
            shutil.rmtree(Path(name, "world"), ignore_errors=True)
            return World(Path(name, "world", str(next(numbers))))

        yield make


NewWorld = Callable[[], World]


@pytest.mark.parametrize("left", LEFT)
@pytest.mark.parametrize("pair", PAIRS)
def test_two_writers_leave_one_clip(new_world: NewWorld, pair: str, left: str) -> None:
    pictures = {item for made in PAIRS[pair] for item in made.previews}
    num_run = 0

    def run(order: list[int], then: int) -> bool:
        nonlocal num_run
        world = new_world()
        LEFT[left](world)
        clips = [world.clip(made) for made in PAIRS[pair]]
        writers = [Writer(partial(world.commit_all, clip)) for clip in clips]
        was_idle = run_together(writers, order, then=then)
        assert world.problems() == [], order
        standing = world.standing(PAIRS[pair])
        assert standing, order
        allowed = pictures
        if left in ("nothing", "stale-rejected"):
            # Nobody had to overwrite any: they are those of the clip that stands.
            allowed = {item for made in standing for item in made.previews}
        assert world.previews() <= allowed, order
        check_record(world)
        num_run += 1
        return was_idle

    run_two_switches(run, share=1.0 if left == "nothing" else 0.1)
    run_drawn(run, 40)
    assert num_run > 100


def check_record(world: World) -> None:
    meta = read_json(meta_uri(str(world.root), CLIP))
    record = json.loads((world.root / "processed_clip_chunks" / f"{REL}_0.json").read_text())
    kept = [] if "rejection" in meta else [CLIP]
    assert record["clips"] == kept
    assert record["filtered_clips"] == ([] if kept else [CLIP])
    assert record["num_bytes"] == meta["num_bytes"]
    assert record["num_clips_with_webp"] == int(bool(meta.get("previews")))


@pytest.mark.parametrize("left", LEFT)
@pytest.mark.parametrize("pair", PAIRS)
def test_a_writer_that_dies_is_mended_by_a_resume(
    new_world: NewWorld, pair: str, left: str
) -> None:
    generator = random.Random(5)
    num_died = 0
    for dying, dies_at in itertools.product((0, 1), range(1, MOST_STEPS)):
        for num_first in range(0, MOST_STEPS, 3):
            world = new_world()
            LEFT[left](world)
            running = [
                Writer(
                    partial(world.commit, world.clip(made)),
                    dies_at=dies_at if number == dying else None,
                )
                for number, made in enumerate(PAIRS[pair])
            ]
            order = [dying] * num_first + [1 - dying] * generator.randrange(12)
            run_together(running, order, then=dying)
            num_died += running[dying].died
            world.resume(PAIRS[pair][generator.randrange(2)])
            assert world.problems() == [], (order, dying, dies_at)
    assert num_died > 30


LATER = {
    "same": (A, A),
    "kept-rejected": (A, REJECTED_A),
    "both-rejected": (REJECTED_A, REJECTED_A),
}
"""What two workers add to a clip that is committed: previews, or the decision to reject it."""


@pytest.mark.parametrize("dies", [False, True])
@pytest.mark.parametrize("pair", LATER)
def test_a_later_stage_is_added_by_two_writers(new_world: NewWorld, pair: str, dies: bool) -> None:
    generator = random.Random(6)
    num_died = 0

    def run(order: list[int], then: int) -> bool:
        nonlocal num_died
        world = new_world()
        world.leave(replace(A, previews=()), meta=True)
        dying = generator.randrange(2) if dies else None
        writers = [
            Writer(
                partial(world.commit, world.clip(made, redone=True)),
                dies_at=generator.randrange(1, MOST_STEPS) if number == dying else None,
            )
            for number, made in enumerate(LATER[pair])
        ]
        was_idle = run_together(writers, order, then=then)
        num_died += sum(writer.died for writer in writers)
        if dies:
            world.resume(LATER[pair][generator.randrange(2)])
        assert world.problems() == [], order
        assert world.standing(LATER[pair]), order
        assert read_json(meta_uri(str(world.root), CLIP))["stages"].keys() >= {"motion_filter"}
        return was_idle

    if dies:
        run_drawn(run, 150)
    else:
        run_two_switches(run, share=0.3)
        run_drawn(run, 40)
    assert not dies or num_died > 50


def naive_commit(clip: Clip, world: World) -> None:
    """Do what was done before: whoever finds other bytes overwrites them, and nobody looks back."""
    made = clip_metadata(clip, world.plan, world.context)
    uri, storage = made["clip_location"], storage_for(made["clip_location"])
    path = clip_path(Path(clip.scratch), CLIP)
    created = storage.create_if_absent(uri, path)
    if not created and hashlib.sha256(storage.read(uri)).hexdigest() != made["sha256"]:
        storage.write(uri, path)
    if not create_json(meta_uri(str(world.root), CLIP), made):
        committed = read_json(meta_uri(str(world.root), CLIP))
        if uri != committed["clip_location"]:
            storage.delete(uri)


@pytest.mark.parametrize("pair", ["same", "other-bytes"])
def test_these_orders_find_the_fault_of_a_naive_commit(new_world: NewWorld, pair: str) -> None:
    found = set()

    def run(order: list[int], then: int) -> bool:
        world = new_world()
        clips = [world.clip(replace(made, previews=())) for made in PAIRS[pair]]
        writers = [Writer(partial(naive_commit, clip, world)) for clip in clips]
        was_idle = run_together(writers, order, then=then)
        found.update(world.problems())
        return was_idle

    run_two_switches(run)
    assert found == (set() if pair == "same" else {"other mp4"})


def test_a_commit_without_a_rival_reads_nothing_back(new_world: NewWorld) -> None:
    world = new_world()
    clip = world.clip(A)
    STORAGE.calls.clear()
    world.commit(clip)
    # Metadata there? mp4, preview, metadata; mp4 in the other folder?
    assert STORAGE.calls == ["exists", *["create_if_absent"] * 3, "exists"]
