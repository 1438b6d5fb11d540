"""One clip's file: video encoded frame by frame, sound beside it, whole or not there at all."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import av.container
from av.video.frame import PictureType

from transforms.errors import MediaError
from transforms.media.audio import AudioSource
from transforms.media.encode import EncodeSettings, Picture, add_video_stream
from transforms.media.out_of_memory import raise_if_memory_is_scarce
from transforms.media.upright import Upright
from transforms.records import VideoFacts

MUXER_OPTIONS = {
    "fflags": "+bitexact",
    "movflags": "+faststart",
    "movie_timescale": "90000",
}
"""No time of creation, no version of FFmpeg; the index before the media data; edit lists, which
place the sound, counted in 1/90000 instead of 1/1000 s."""


@dataclass(frozen=True, slots=True)
class ClipTimes:
    """When the frames of a clip are shown, in ticks of the source."""

    first_pts: int
    """PTS of the first frame, which is time 0 of the clip."""
    end_pts: int
    """PTS at which the last frame ends."""
    keyframes: frozenset[int]
    """Numbers of the frames that must be keyframes."""
    rate: Fraction | None = None
    """Constant frames per second; None: every frame at its own time."""


class ClipWriter:
    """Encodes the frames of one clip into ``path``; ``finish`` or ``abandon`` ends it.

    The PTS of a frame is its source PTS minus that of the clip's first frame, in the source's time
    base: exact, constant frame rate or not. At a constant rate that is asked for, it is the frame's
    number in ticks of one frame.
    """

    def __init__(
        self,
        path: Path,
        times: ClipTimes,
        *,
        upright: Upright,
        facts: VideoFacts,
        settings: EncodeSettings,
        audio: AudioSource | None,
    ) -> None:
        self._path = path
        self._times = times
        self._upright = upright
        self._time_base = facts.time_base if times.rate is None else 1 / times.rate
        self.num_frames = 0
        self._durations: dict[int, int] = {}
        self._decode_start: int | None = None
        self._container = av.open(str(path), "w", format="mp4", options=MUXER_OPTIONS)
        self._video = add_video_stream(
            self._container,
            settings,
            self._picture(facts),
            bit_rate=settings.bit_rate(input_kbit=facts.bit_rate_kbit),
        )
        self._audio: Iterator[av.Packet] | None = None
        if audio is not None:
            start, end = times.first_pts * facts.time_base, times.end_pts * facts.time_base
            self._audio = audio.clip(self._container, start=start, end=end)
        self._next_audio = next(self._audio, None) if self._audio is not None else None

    def write(self, frame: av.VideoFrame, *, duration: int, times_shown: int = 1) -> None:
        """Encode the next frame, whose PTS is the source's; it may be changed.

        Args:
            frame: A decoded frame, PTS in ticks of the source.
            duration: How long it is shown, in ticks; without effect at a constant rate.
            times_shown: How often it is encoded; more or less than once only at a constant rate.

        Raises:
            MediaError: ``encode_failed``, or what reading the sound raises.
        """
        assert frame.pts is not None
        pts = frame.pts - self._times.first_pts
        if not times_shown:
            return
        frame = self._upright(frame)
        if self._times.rate is None:
            self._write_upright(frame, pts, duration)
            return
        for _ in range(times_shown):
            self._write_upright(frame, self.num_frames, 1)

    def _write_upright(self, frame: av.VideoFrame, pts: int, duration: int) -> None:
        frame.pts, frame.dts = pts, None
        self._durations[pts] = duration
        frame.time_base = self._time_base
        # The decoder's frame type is the source's; the encoder would obey it.
        is_key = self.num_frames in self._times.keyframes
        frame.pict_type = PictureType.I if is_key else PictureType.NONE
        self.num_frames += 1
        self._encode(frame)
        self._mux_audio(until=pts * self._time_base)

    def finish(self, *, end_pts: int | None = None) -> None:
        """Write what is left and close the file.

        Args:
            end_pts: PTS at which the last frame ends, in ticks of the source, if it is another than
                was planned.

        Raises:
            MediaError: As ``write``.
        """
        if end_pts is not None:
            self._times = dataclasses.replace(self._times, end_pts=end_pts)
        self._encode(None)
        self._mux_audio(until=None)
        self._container.close()

    def abandon(self) -> None:
        """Close and remove the file; what closing it says of its contents does not matter."""
        with contextlib.suppress(av.FFmpegError):
            self._container.close()
        self._path.unlink(missing_ok=True)

    def _encode(self, frame: av.VideoFrame | None) -> None:
        try:
            packets = self._video.encode(frame)
        except (av.error.ExternalError, av.error.ArgumentError, av.error.InvalidDataError) as error:
            raise_if_memory_is_scarce(error)
            raise MediaError(
                "encode_failed",
                f"{self._video.codec_context.name} could not encode frame {self.num_frames} of "
                f"{self._upright.width}x{self._upright.height} pixels: {error.strerror}; "
                "choose another transcode_encoder or report this video",
            ) from error
        for packet in packets:
            self._set_duration(packet, is_last=frame is None and packet is packets[-1])
        self._container.mux(packets)

    def _set_duration(self, packet: av.Packet, *, is_last: bool) -> None:
        """Give a packet its frame's duration: the encoder loses it, and the muxer would guess.

        Readers divide the number of frames by the sum of the durations in decode order: the last
        packet gets what is left of the clip's length, so that the average frame rate is right for
        variable rates too (the length that the edit list states is then off by up to a frame).
        """
        if packet.pts is None or packet.dts is None:
            return
        packet.duration = self._durations.pop(packet.pts)
        if self._decode_start is None:
            self._decode_start = packet.dts
        if is_last:
            length = self._times.end_pts - self._times.first_pts
            if self._times.rate is not None:
                length = self.num_frames
            left = self._decode_start + length - packet.dts
            packet.duration = max(1, left)

    def _mux_audio(self, *, until: Fraction | None) -> None:
        """Mux sound up to ``until`` seconds of the clip; None: all."""
        while (packet := self._next_audio) is not None:
            if until is not None and (packet.pts or 0) * packet.time_base > until:
                return
            self._container.mux(packet)
            assert self._audio is not None
            self._next_audio = next(self._audio, None)

    def _picture(self, facts: VideoFacts) -> Picture:
        upright = self._upright
        return Picture(
            width=upright.width,
            height=upright.height,
            pixel_format=upright.pixel_format,
            time_base=self._time_base,
            rate=self._times.rate or facts.average_rate,
            sample_aspect_ratio=upright.aspect,
            color=upright.color,
        )
