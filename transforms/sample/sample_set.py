"""Drawing a whole set of sample videos into a folder, once."""

import hashlib
import json
import math
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TypedDict

from transforms.sample.container import read_times, write_video
from transforms.sample.draw import draw_frames
from transforms.sample.recipes import RECIPES, VideoRecipe
from transforms.sample.timeline import SHORTEST_SHOT_SECONDS, Timeline, plan_timeline
from transforms.sample.truth import average_rate, describe_video

MANIFEST_NAME = "sample-set.json"
DRAWING_VERSION = 1
"""Raised whenever the same parameters would draw something else."""
_LONGEST_FILE_SECONDS = 60.0


@dataclass(frozen=True)
class SampleVideo:
    """One file of a sample set."""

    path: Path
    width: int
    """Width in px as the picture is seen, upright."""
    height: int
    """Height in px as the picture is seen, upright."""
    fps: Fraction
    """Frames per second; for a variable rate the average."""
    num_frames: int
    num_shots: int
    seconds: float


@dataclass(frozen=True)
class PlannedVideo:
    """One file of a sample set before it is drawn."""

    name: str
    recipe: VideoRecipe
    seconds: float
    seed: int
    turn: int
    """How often the recipe was used before in the set."""

    def timeline(self) -> Timeline:
        """Return frame times, shots and transitions."""
        return plan_timeline(self.recipe, seconds=self.seconds, seed=self.seed, turn=self.turn)


class _Manifest(TypedDict):
    version: int
    seed: int
    seconds: float
    files: dict[str, str]


def draw_sample_set(
    folder: Path, *, seconds: float, seed: int, progress: Callable[[str], None] | None = None
) -> list[SampleVideo]:
    """Draw a set of sample videos into ``folder`` and return them in the order of their names.

    ``sample-set.json`` records the parameters and the sha256 of every file; files that match it
    are left alone, so a set that was interrupted is completed and a complete one costs nothing but
    reading it. Files of a set with other parameters are replaced, and those of them that the new
    set does not have are removed; nothing else in the folder is touched. Beside each video stands
    its truth, ``<stem>.truth.json`` (see ``truth.describe_video``).

    Args:
        folder: Where to draw; made if it is not there.
        seconds: About how long all videos are together. Below 31.2 s the set has fewer than one
            file of each kind; above 8 minutes it has several, none longer than a minute.
        seed: Same seed, same bytes (on one machine with one version of the encoders).
        progress: Called with one line of text before each file that is drawn.

    Raises:
        ValueError: ``seconds`` is not a positive number, ``seed`` is negative, or the record in
            the folder is damaged.
        OSError: The folder cannot be written.
    """
    planned = plan_sample_set(seconds=seconds, seed=seed)
    folder.mkdir(parents=True, exist_ok=True)
    for part in folder.glob(".sample-*.part"):  # of a drawing that was killed
        part.unlink()
    manifest: _Manifest = {
        "version": DRAWING_VERSION,
        "seed": seed,
        "seconds": seconds,
        "files": {},
    }
    old = _read_manifest(folder)
    if {**old, "files": {}} == manifest:
        manifest = old
    else:
        _remove_leftovers(folder, old, {name for video in planned for name in _names(video)})
    for number, video in enumerate(planned, start=1):
        if _is_complete(folder, video, manifest):
            continue
        if progress is not None:
            progress(f"drawing {video.name} ({number} of {len(planned)}, {video.seconds:.0f} s)")
        path = folder / video.name
        draw_video(path, video.recipe, seconds=video.seconds, seed=video.seed, turn=video.turn)
        manifest["files"].update({name: _sha256(folder / name) for name in _names(video)})
        _write_json(folder / MANIFEST_NAME, manifest)
    return [_describe(folder, video) for video in planned]


def plan_sample_set(*, seconds: float, seed: int) -> list[PlannedVideo]:
    """Return the files of a set, without drawing anything.

    Raises:
        ValueError: ``seconds`` is not a positive number, or ``seed`` is negative.
    """
    if not (math.isfinite(seconds) and seconds > 0) or seed < 0:
        raise ValueError(
            f"a sample set needs seconds above 0 and a seed of 0 or more, got {seconds} and {seed}"
        )
    lengths = list(_file_lengths(seconds))
    digits = max(2, len(str(len(lengths))))
    planned = []
    for index, length in enumerate(lengths):
        turn, kind = divmod(index, len(RECIPES))
        recipe = RECIPES[kind]
        name = f"{index + 1:0{digits}d}-{recipe.name}.{recipe.container}"
        planned.append(PlannedVideo(name, recipe, length, seed * 1_000_003 + index, turn))
    return planned


def draw_video(
    path: Path, recipe: VideoRecipe, *, seconds: float, seed: int, turn: int = 0
) -> None:
    """Draw one video of any length to ``path``, and its truth to ``<stem>.truth.json`` beside it.

    Both are written under another name first, and appear when they are complete.
    """
    timeline = plan_timeline(recipe, seconds=seconds, seed=seed, turn=turn)
    part = _part_of(path)
    try:
        write_video(part, draw_frames(recipe, timeline, seed=seed), recipe, timeline, seed=seed)
        written = read_times(part)
        if len(written.pts) != timeline.num_frames:
            raise RuntimeError(
                f"{path}: {timeline.num_frames} frames were drawn, but the file holds "
                f"{len(written.pts)}"
            )
        truth = describe_video(path.name, recipe, timeline, written, seed=seed)
        _write_json(truth_path(path), truth)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def truth_path(video: Path) -> Path:
    """Return where the truth about ``video`` lies."""
    return video.with_suffix(".truth.json")


def _file_lengths(seconds: float) -> Iterator[float]:
    """Yield the length of each file in seconds; their sum is about ``seconds``."""
    if seconds < len(RECIPES) * SHORTEST_SHOT_SECONDS:
        number = max(1, int(seconds / SHORTEST_SHOT_SECONDS))
        yield from [max(SHORTEST_SHOT_SECONDS, seconds / number)] * number
        return
    # Two shots each where there is time for them, so that every kind of file has a cut.
    least = min(2 * SHORTEST_SHOT_SECONDS + 0.1, seconds / len(RECIPES))
    total = sum(recipe.share for recipe in RECIPES)
    most = max(recipe.share for recipe in RECIPES) / total
    turn_seconds = len(RECIPES) * least + (_LONGEST_FILE_SECONDS - least) / most
    turns = math.ceil(seconds / turn_seconds)
    spare = seconds / turns - len(RECIPES) * least
    for _ in range(turns):
        for recipe in RECIPES:
            yield least + spare * recipe.share / total


def _is_complete(folder: Path, video: PlannedVideo, manifest: _Manifest) -> bool:
    recorded = [manifest["files"].get(name) for name in _names(video)]
    return None not in recorded and recorded == [_sha256(folder / n) for n in _names(video)]


def _names(video: PlannedVideo) -> tuple[str, str]:
    return video.name, truth_path(Path(video.name)).name


def _describe(folder: Path, video: PlannedVideo) -> SampleVideo:
    timeline = video.timeline()
    width, height = video.recipe.size
    return SampleVideo(
        path=folder / video.name,
        width=width,
        height=height,
        fps=average_rate(video.recipe, timeline),
        num_frames=timeline.num_frames,
        num_shots=len(timeline.shots),
        seconds=float(timeline.duration),
    )


def _read_manifest(folder: Path) -> _Manifest:
    path = folder / MANIFEST_NAME
    if not path.exists():
        return {"version": 0, "seed": 0, "seconds": 0.0, "files": {}}
    try:
        manifest: _Manifest = json.loads(path.read_text(encoding="utf-8"))
        return {
            "version": manifest["version"],
            "seed": manifest["seed"],
            "seconds": manifest["seconds"],
            "files": manifest["files"],
        }
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path}: expected the record of a sample set, cannot read it ({error}); "
            "remove it, or draw into another folder"
        ) from error


def _remove_leftovers(folder: Path, old: _Manifest, kept: set[str]) -> None:
    """Remove files that an earlier set drew, are unchanged since, and have no place in the new."""
    for name, digest in old["files"].items():
        path = folder / name
        if name not in kept and Path(name).name == name and _sha256(path) == digest:
            path.unlink()


def _sha256(path: Path) -> str:
    """Return the sha256 of a file in hexadecimal, or "" where there is no file."""
    if not path.is_file():
        return ""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _part_of(path: Path) -> Path:
    """Return a fresh name in the same folder for a file that is being written."""
    return path.with_name(f".sample-{uuid.uuid4().hex}.part")


def _write_json(path: Path, content: object) -> None:
    part = _part_of(path)
    part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    part.replace(path)
