"""The options of encoding: upstream's names and defaults, where they have a meaning here."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import model_validator

from transforms.section import Section, ignored, option

Encoder = Literal["auto", "libx264", "libopenh264", "h264_nvenc", "libsvtav1", "copy"]
Preset = Literal[
    "ultrafast",
    "superfast",
    "veryfast",
    "faster",
    "fast",
    "medium",
    "slow",
    "slower",
    "veryslow",
    "placebo",
]

_DECIDES_BYTES = (
    "transcode_encoder",
    "transcode_encoder_threads",
    "transcode_use_input_video_bit_rate",
    "transcode_preset",
    "transcode_crf",
)


class Transcode(Section):
    """How clips are encoded (contract §1.6)."""

    title: ClassVar[str] = "Encoding clips"

    transcode_encoder: Encoder = option("auto")
    """Encoder. ``auto`` is libx264. ``libopenh264``, upstream's default, is replaced by
    libx264 at the same bit rate. ``h264_nvenc`` needs an NVIDIA GPU with an encoder; its bytes
    depend on GPU and driver. ``libsvtav1`` makes AV1 in mp4, preset 8, on one thread. ``copy``
    encodes nothing: clips are the source's packets in mp4, from the first keyframe in their span
    on; those without one fail."""
    transcode_encoder_threads: int = option(1, unit="threads", ge=1, le=64)
    """Threads of one encoder. The count changes the bytes; several clips are encoded at once
    anyway."""
    transcode_use_input_video_bit_rate: bool = option(False)
    """Encode at the bit rate of the input video instead of 4 Mbit/s."""
    transcode_preset: Preset = option("veryfast")
    """Preset of libx264: slower presets make smaller files. Other encoders ignore it."""
    transcode_crf: float | None = option(None, ge=1, le=51)
    """Constant quality instead of a bit rate: 18 is nearly transparent, 23 is libx264's own
    default, 28 is visibly compressed. For h264_nvenc this is its ``cq``; for libsvtav1 about 35 is
    what 23 is for libx264."""
    keep_decodable_prefix: bool = option(False)
    """Accept sources that are cut off or damaged: a clip that the source breaks off ends at its
    last good frame if ``fixed_stride_min_clip_length_s`` are left of it, and is marked by
    ``source_truncated`` in its metadata; where shots are detected, the video counts up to its first
    damaged frame. Clips of which less is left are listed in the record of
    their chunk and do not fail. Without the option such clips fail, and of a source that lacks a
    part of what its header promises all do. Clips that are whole have the same bytes either way, so
    ``--keep_decodable_prefix --retry_failed`` takes up what failed before."""
    transcode_use_hwaccel: bool = option(False)
    """Decode on the GPU. Not built yet: must be false."""
    transcode_max_output_frames: int | None = option(None, unit="frames", ge=1)
    """Largest number of frames of a clip. A clip with more gets a lower rate, at which exactly so
    many frames remain; the rate is never raised."""
    transcode_cpus_per_worker: float = ignored(
        5.0, instead="the worker options of the runner, one encoder runs per core"
    )
    """Ray's number of cores per worker."""
    transcode_ffmpeg_batch_size: int = ignored(
        16, instead="clip_re_chunk_size, a chunk is cut by one process in one pass"
    )
    """Clips per ffmpeg process."""

    @model_validator(mode="after")
    def _one_rate_control(self) -> Transcode:
        if self.transcode_crf is not None and self.transcode_use_input_video_bit_rate:
            raise ValueError(
                "transcode_crf and transcode_use_input_video_bit_rate exclude each other: "
                "the first asks for constant quality, the second for a bit rate; keep one"
            )
        return self

    @property
    def asks_for_encoding(self) -> bool:
        """Whether an option says how clips are to be encoded, so that none is passed through."""
        fields = type(self).model_fields
        return any(getattr(self, name) != fields[name].default for name in _DECIDES_BYTES)

    def not_built(self) -> str | None:
        """Return why this section cannot run yet, naming option, value and ways on."""
        if self.transcode_use_hwaccel:
            return (
                "transcode_use_hwaccel true: decoding on the GPU is not built yet; "
                "leave the option out, and videos are decoded on the CPU"
            )
        return None
