"""``metas/v0/{uuid}.json``: the metadata of a clip, whose existence is the clip's commit."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, JsonValue

from transforms.formats.document import (
    ClipStage,
    Count,
    Document,
    Fingerprint,
    Ratio,
    SchemaVersion,
    Seconds,
    Sha256,
    Uuid,
    ours,
    upstream,
)
from transforms.formats.scores import ClipScores
from transforms.records import MadeBy


class MotionScore(Document):
    """How much a clip moves, from its H.264 motion vectors."""

    global_mean: float = upstream(unit="share of width + height", ge=0)
    """Mean length of the motion vectors over frames and pixels."""
    per_patch_min_256: float = upstream(unit="share of width + height", ge=0)
    """The same in the stillest patch of 256 x 256 pixels."""


class Rejection(Document):
    """Why a filter turned the clip down; the first rejection stands."""

    filter: Literal["motion", "black", "frozen", "sharpness", "brightness", "letterbox"] = ours()
    """Which filter."""
    score: float = ours()
    """What was measured."""
    threshold: float = ours()
    """What the score fell below; of ``black`` and ``frozen``, and of ``brightness`` for a clip that
    is too bright: what it reached."""


_ASKED = "captions were made"


class CaptionWindow(Document):
    """Frames of the clip that get one caption.

    With captions also ``{captioning_algorithm}_caption`` (text, where there is one),
    ``{captioning_algorithm}_prompt_tokens`` and ``{captioning_algorithm}_output_tokens``; with
    enhance_captions also ``{enhance_captions_lm_variant}_enhanced_caption``.
    """

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "x-other-names": ["captions were made", "Captions and tokens, as said above."]
        },
    )
    __pydantic_extra__: dict[str, str | int]

    start_frame: int = upstream(unit="frame number", ge=0)
    """First frame; the clip's first frame is 0."""
    end_frame: int = upstream(unit="frame number", ge=0)
    """Last frame, which belongs to the window."""
    num_bytes: Count = ours(unit="bytes")
    """Size of the window's video packets."""
    caption_status: Literal["success", "truncated", "blocked", "error", "skipped"] = upstream(
        when=_ASKED
    )
    """What became of the caption; the first two are captions."""
    caption_failure_reason: Literal["exception", "timeout"] | None = upstream(when=_ASKED)
    """Why there is none; null when there is one."""
    caption_failure_message: str = ours(when="the caption failed")
    """The error, for people."""
    flag_length_outlier: bool | None = upstream(when=_ASKED)
    """Whether the caption has fewer than 4 or more than 1024 words; null without a caption."""
    flag_repetition: bool | None = upstream(when=_ASKED)
    """Whether the caption says the same over and over; null without a caption."""
    flag_near_duplicate: bool | None = upstream(when=_ASKED)
    """Whether a neighbouring window has nearly the same caption; null without a caption."""
    flag_empty: bool | None = ours(when=_ASKED)
    """Whether the caption has not one word; null as for the others."""
    flag_truncated: bool | None = ours(when=_ASKED)
    """Whether the caption ends at the limit of tokens."""
    flag_refusal: bool | None = ours(when=_ASKED)
    """Whether the caption begins with an excuse in English, such as "I'm sorry"."""
    flag_prompt_echo: bool | None = ours(when=_ASKED)
    """Whether eight words in a row of the caption stand in its prompt, too."""
    flag_wrong_language: bool | None = ours(when=_ASKED)
    """Whether less than half of the letters are of ``captioning_language``; null without that."""
    caption_json: JsonValue = ours(
        when="captioning_json_schema is given and the window has a caption"
    )
    """The caption as a value that fits the schema; the text is the same in one line."""
    second_pass_failure_message: str = ours(when="a second pass was of no use")
    """Why; the caption is that of the first pass."""
    enhancement_prompt_tokens: Count = ours(unit="tokens", when="the caption was to be rewritten")
    """Tokens given to the text model; not in the clip's sums."""
    enhancement_output_tokens: Count = ours(unit="tokens", when="the caption was to be rewritten")
    """Tokens the text model wrote."""
    enhancement_failure_message: str = ours(when="rewriting the caption failed")
    """The error, for people; the caption stays as it is."""


class FilterWindow(Document):
    """Frames of the clip that a filter asked a model about; none of those filters is built."""

    start_frame: int = upstream(unit="frame number", ge=0)
    """First frame."""
    end_frame: int = upstream(unit="frame number", ge=0)
    """Last frame, which belongs to the window."""


EmbeddingAlgorithm = Literal[
    "clip",
    "cosmos-embed1-224p",
    "cosmos-embed1-336p",
    "cosmos-embed1-448p",
    "internvideo2",
    "openai",
    "siglip2",
]
"""Names in ``transforms.models.embeddings.algorithms.ALGORITHMS``."""


class Embedding(Document):
    """What the clip's vector is."""

    algorithm: EmbeddingAlgorithm = ours()
    """Value of ``embedding_algorithm``; the vector lies in the folder that ``formats.md`` names."""
    model_name: str = ours()
    """The model on the hub or at its endpoint, or the name of a local folder."""
    model_version: str = ours()
    """Its revision on the hub, or a hash of the folder's files; of a served model, its name."""
    device: Literal["cpu", "cuda", "served"] = ours()
    """What computed: vectors differ in their last bits between devices."""
    dtype: Literal["float32", "float16"] = ours()
    """Type of its numbers."""
    shape: list[Count] = ours()
    """(D) or (1, D)."""


class ClipMeta(Document):
    """Metadata of a clip, kept or rejected."""

    span_uuid: Uuid = upstream()
    """Id of the clip, made of the source's id and the span."""
    source_video: str = upstream()
    """Where the source lies: an absolute path or an object URI."""
    duration_span: tuple[Seconds, Seconds] = upstream(unit="seconds")
    """Start and end in the source as upstream counts them; ``source_span_pts`` has the truth."""
    width_source: int = upstream(unit="pixels", gt=0)
    """Width of the source as it is shown, after rotation."""
    height_source: int = upstream(unit="pixels", gt=0)
    """Height of the source as it is shown, after rotation."""
    framerate_source: float = upstream(unit="frames per second", gt=0)
    """Average frame rate of the source."""
    clip_location: str = upstream()
    """Full path of the clip's mp4, in ``clips/`` or ``filtered_clips/``."""
    width: int = upstream(unit="pixels", gt=0)
    """Width of the clip."""
    height: int = upstream(unit="pixels", gt=0)
    """Height of the clip."""
    framerate: float = upstream(unit="frames per second", ge=0)
    """Average frame rate that the clip's mp4 states; 0 when it does not."""
    num_frames: int = upstream(unit="frames", gt=0)
    """Frames of the clip, counted by decoding it; upstream computes them."""
    video_codec: str = upstream()
    """Codec of the clip as FFmpeg names it."""
    num_bytes: int = upstream(unit="bytes", gt=0)
    """Size of the clip's mp4."""
    motion_score: MotionScore = upstream(when="motion was measured and the clip has vectors")
    """How much the clip moves."""
    motion_missing: Literal["resolution_too_small", "no_vectors"] = ours(
        when="motion was asked for and could not be measured"
    )
    """Why there is no ``motion_score``: a side below 256 pixels, or no motion vectors."""
    scores: ClipScores = ours(when="a score of the pixels was measured")
    """What was measured on the clip's pixels."""
    source_truncated: str = ours(
        when="keep_decodable_prefix kept a clip that a damaged source breaks off"
    )
    """Why the clip ends before its span does, as a failure's reason; ``source_span_pts`` says
    where."""
    rejection: Rejection = ours(when="a filter turned the clip down")
    """Which filter, and by which numbers."""
    errors: list[str] = upstream()
    """Keys of errors that leave a clip whole: ``embedding`` where it should have one and has none;
    a clip with other errors is a failure here."""
    windows: list[CaptionWindow] = upstream()
    """Caption windows, also without captions; none for a clip of less than 4 frames."""
    filtered_windows: list[FilterWindow] = upstream()
    """Windows that filters by vision-language models asked about; empty until they are built."""
    valid: bool = upstream()
    """Whether the clip decodes and has a window, so that it can be trained on, captions or not."""
    has_caption: bool = upstream()
    """Whether a window has a caption."""
    num_caption_windows: Count = upstream(unit="windows", when="captions were made")
    """Windows with a caption."""
    caption_quality_flags_enabled: bool = upstream(when="captions were made")
    """Whether the windows' flags were set; else they are null."""
    total_prompt_tokens: Count = upstream(unit="tokens")
    """Tokens given to the caption model."""
    total_output_tokens: Count = upstream(unit="tokens")
    """Tokens the caption model wrote."""
    embedding: Embedding = ours(when="embeddings were made and the clip was kept")
    """What the vector is that lies in ``{stem}/{span_uuid}.pickle``."""
    embedding_missing: str = ours(when="an embedding was asked for and there is none")
    """Why, in short: ``too_few_frames``, ``model_error``, ``out_of_memory``, ``not_finite``,
    ``request_failed``, ``timeout``."""
    embedding_message: str = ours(when="the model or its endpoint said why there is no embedding")
    """The error, for people."""
    previews: list[str] = ours(when="previews were made")
    """Names of the files in ``previews/{span_uuid}/``, one per window."""
    chunk_index: Count = ours()
    """Number of the clip's chunk in its video."""
    source_id: str = ours()
    """What the ids are made from: ``source_video``, or ``id_root`` and the relative path."""
    source_time_base: Ratio = ours(unit="seconds")
    """Length of one PTS tick of the source's video stream."""
    source_span_pts: tuple[int, int] = ours(unit="ticks of source_time_base")
    """PTS of the clip's first frame in the source, and the PTS behind its last frame."""
    made_by: MadeBy = ours()
    """``passthrough``: the mp4 is the source's, byte for byte; ``copy``: it holds packets of it."""
    crop_box: tuple[Count, Count, Count, Count] = ours(
        unit="pixels", when="crop_black_bars cut bars away"
    )
    """Left, top, width and height of what the clip shows of its source as that is shown upright."""
    frames_repeated: Count = ours(
        unit="frames", when="clip_fps or transcode_max_output_frames gave the clip its rate"
    )
    """Frames of the clip that show the same frame of the source as the one before."""
    frames_dropped: Count = ours(
        unit="frames", when="clip_fps or transcode_max_output_frames gave the clip its rate"
    )
    """Frames of the source within the clip's span that the clip does not show."""
    sha256: Sha256 = ours()
    """Hash of the clip's mp4."""
    stages: dict[ClipStage, Fingerprint] = ours()
    """What the clip has been through, each with the fingerprint of the options it was done with."""
    schema_version: SchemaVersion = ours()
    """Version of this format."""
