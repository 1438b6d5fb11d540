"""``annotations/{version}/``: what ``recaption`` tells of a version of the metadata."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict

from transforms.formats.document import Count, Document, SchemaVersion, ours


class AnnotationSummary(Document):
    """What a version holds; there when no clip of it is open."""

    pipeline: Literal["recaption"] = ours()
    """Which pipeline made it."""
    annotation_version: str = ours()
    """The version: its metadata lies in ``metas/{annotation_version}``."""
    captioning_algorithm: str = ours()
    """Whose captions they are: part of the names of the windows' fields."""
    num_clips: Count = ours(unit="clips")
    """Clips that were to be captioned anew: annotated and failed together."""
    num_clips_annotated: Count = ours(unit="clips")
    """Clips with metadata of this version."""
    num_clips_failed: Count = ours(unit="clips")
    """Clips with a failure file instead."""
    failed: dict[str, Count] = ours(unit="clips")
    """Failed clips by reason."""
    num_clips_with_caption: Count = ours(unit="clips")
    """Clips of which a window has a caption."""
    num_caption_windows: Count = ours(unit="windows")
    """Windows with a caption."""
    total_prompt_tokens: Count = ours(unit="tokens")
    """Tokens given to the caption model."""
    total_output_tokens: Count = ours(unit="tokens")
    """Tokens the caption model wrote."""
    schema_version: SchemaVersion = ours()
    """Version of this format."""


class AnnotationFailure(Document):
    """A clip that could not be captioned anew; what ``split`` made of it is as it was."""

    id: str = ours()
    """Id of the clip."""
    stage: Literal["read", "look"] = ours()
    """Where it failed: reading what ``split`` wrote, or decoding the clip."""
    reason: str = ours(pattern=r"^[a-z0-9_]+$")
    """Short cause for programs, e.g. ``clip_file_changed``."""
    message: str = ours()
    """One sentence for people: what was needed, what was got, what to do."""
    video: str = ours()
    """Where the clip's source lay; empty when its metadata could not be read."""
    schema_version: SchemaVersion = ours()
    """Version of this format."""


class AnnotatedWindow(Document):
    """A caption window, as in ``metas/v0``."""

    model_config = ConfigDict(extra="allow")

    start_frame: Count = ours(unit="frame number")
    """First frame; the clip's first frame is 0."""
    end_frame: Count = ours(unit="frame number")
    """Last frame, which belongs to the window."""


class AnnotatedMeta(Document):
    """What metadata of a version has, whoever wrote the clip; other fields are as in v0."""

    model_config = ConfigDict(extra="allow")

    span_uuid: str = ours()
    """Id of the clip."""
    windows: list[AnnotatedWindow] = ours()
    """Caption windows."""
    valid: bool = ours()
    """Whether it has a window."""
    has_caption: bool = ours()
    """Whether a window has a caption."""
    total_prompt_tokens: Count = ours(unit="tokens")
    """Tokens given to the caption model."""
    total_output_tokens: Count = ours(unit="tokens")
    """Tokens the caption model wrote."""
    stages: dict[str, str] = ours()
    """What the clip has been through, with the captions of this version."""
