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
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from clip_world import CLIP, REL, Made, World
from step_storage import StepStorage, Writer, run_together

from transforms.clips import settle_clip
from transforms.clips.clip_metadata import clip_metadata
from transforms.json_files import create_json, read_json
from transforms.layout import meta_uri
from transforms.media.clip_files import clip_path
from transforms.records import Clip
from transforms.storage import open_storage
from transforms.storage.open_storage import storage_for
from transforms.storage.sync import syncing

MOST_STEPS = 14
"""More storage calls than a writer makes that meets nobody."""


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


@pytest.mark.parametrize("left", LEFT)
@pytest.mark.parametrize("made", [A, REJECTED], ids=["kept", "rejected"])
def test_a_writer_alone_leaves_one_clip_or_a_resume_does(
    new_world: NewWorld, made: Made, left: str
) -> None:
    for dies_at in itertools.count(1):
        world = new_world()
        LEFT[left](world)
        writer = Writer(partial(world.commit, world.clip(made)), dies_at=dies_at)
        run_together([writer], [])
        if not writer.died:
            break
        world.resume(made)
        assert world.problems() == [], dies_at
    assert world.problems() == []
    assert world.standing((made,))


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
