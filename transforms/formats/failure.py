"""``failures/{stage}/{id}.json``: why a video or a clip could not be processed."""

from __future__ import annotations

from typing import Literal

from transforms.formats.document import Count, Document, SchemaVersion, Seconds, Uuid, ours


class Failure(Document):
    """What is said of every failure."""

    id: Uuid = ours()
    """Id of the failed video or clip; names the file."""
    reason: str = ours(pattern=r"^[a-z0-9_]+$")
    """Short cause for programs, e.g. ``truncated``; docs/resume-and-failures.md lists them."""
    message: str = ours()
    """One sentence for people: what was needed, what was got, what to do."""
    traceback: str = ours()
    """Where in the program it arose; may be empty. The only field that may differ between runs."""
    video: str = ours()
    """Where the source lies."""
    rel: str = ours()
    """The source's path relative to the input root."""
    schema_version: SchemaVersion = ours()
    """Version of this format."""


class VideoFailure(Failure):
    """A video that could not be read or planned; it has no clips."""

    stage: Literal["probe", "split", "plan"] = ours()
    """Where it failed: reading the container, finding spans, planning chunks."""


class ClipFailure(Failure):
    """A planned clip that could not be made; the other clips of its video are not concerned."""

    stage: Literal["cut", "look"] = ours()
    """Where it failed: cutting it from the source, or decoding the finished clip."""
    duration_span: tuple[Seconds, Seconds] = ours(unit="seconds")
    """Start and end of the clip in the source."""
    chunk_index: Count = ours()
    """Number of the clip's chunk in its video."""
