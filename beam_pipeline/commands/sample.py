"""The command ``sample``: draws videos with known contents."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from beam_pipeline.configuration.option_values import BadValueError, bad_value, to_value
from beam_pipeline.configuration.options import Option, section_options
from transforms.errors import PreflightError, UsageError
from transforms.section import Section, option

if TYPE_CHECKING:
    from transforms.sample.sample_set import SampleVideo


class SampleOptions(Section):
    """Draws sample videos that differ in size, shape, frame rate, codec, cuts and movement.

    The same seed gives the same files. Beside each video a JSON file tells its true cuts.
    """

    title: ClassVar[str] = "Sample videos"

    output: str | None = None
    """Folder for the videos; files that are already there and right are left alone."""
    hours: float = option(0.02, unit="hours", gt=0)
    """How long all videos are together."""
    seed: int = option(0, ge=0)
    """Another seed draws other videos."""


def sample_options() -> dict[str, Option]:
    """Return the options of the command by name."""
    return {found.name: found for found in section_options("sample", SampleOptions)}


def run_sample(written: Mapping[str, Any]) -> int:
    """Draw the videos, print a table of them and return the exit status.

    Raises:
        UsageError: An option has a value it cannot have.
        PreflightError: The folder cannot be written.
    """
    settings = _settings(written)
    if settings.output is None:
        raise UsageError("sample needs --output DIR, the folder for the videos")
    videos = draw(Path(settings.output), seconds=settings.hours * 3600, seed=settings.seed)
    print_videos(videos)
    return 0


def draw(folder: Path, *, seconds: float, seed: int) -> list[SampleVideo]:
    """Return a set of sample videos in ``folder``, drawn unless it is already there.

    Raises:
        PreflightError: The folder cannot be written.
        UsageError: The folder holds something else under the names of the set.
    """
    # PyAV and numpy are imported by those who draw, not by those who read the help.
    from transforms.sample.sample_set import draw_sample_set  # noqa: PLC0415

    def progress(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    try:
        return draw_sample_set(folder, seconds=seconds, seed=seed, progress=progress)
    except OSError as error:
        raise PreflightError(f"{folder}: sample videos cannot be written: {error}") from error
    except ValueError as error:
        raise UsageError(f"{folder}: {error}") from error


def print_videos(videos: Sequence[SampleVideo]) -> None:
    """Print a table of videos and where they lie."""
    table = Table("video", "size", "fps", "frames", "shots", "seconds", box=None)
    for video in videos:
        table.add_row(
            video.path.name,
            f"{video.width}x{video.height}",
            f"{float(video.fps):.2f}",
            str(video.num_frames),
            str(video.num_shots),
            f"{video.seconds:.1f}",
        )
    console = Console(soft_wrap=True)
    console.print(table)
    seconds = sum(video.seconds for video in videos)
    folder = videos[0].path.parent.resolve()
    console.print(f"{len(videos)} videos, {seconds:.0f} seconds, in {folder}", highlight=False)


def _settings(written: Mapping[str, Any]) -> SampleOptions:
    options = sample_options()
    try:
        values = {name: to_value(options[name], value) for name, value in written.items()}
        return SampleOptions(**values)
    except BadValueError as error:
        raise UsageError(str(error)) from error
    except ValidationError as error:
        name = str(error.errors()[0]["loc"][0])
        raise UsageError(bad_value(options[name], written[name])) from error
