"""Clips made of the source's own packets, cut at keyframes: nothing is decoded or encoded."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import av.container
from av.stream import Stream

from transforms.errors import MediaError
from transforms.media.audio import AudioSource
from transforms.media.clip_writer import MUXER_OPTIONS
from transforms.media.copy_packets import Stretch, copy_problem, find_stretch, packets_from
from transforms.media.cut_plan import ClipPlan, CutResult
from transforms.media.open_input import open_input
from transforms.media.out_of_memory import raise_if_memory_is_scarce
from transforms.media.run_of_clips import Run


def copied_clips(run: Run, plans: Sequence[ClipPlan]) -> Iterator[CutResult]:
    """Yield the result of each clip, in order, as its file closes.

    A clip begins at the first clean keyframe at or after its span's start; one without such a
    keyframe fails (``no_keyframe``). It ends with the last frame that decodes without a frame
    behind the span. What is left must be long enough (``too_short``); ``source_span_pts`` says what
    it is. Sound is that of these frames.
    """
    problem = copy_problem(run.facts, run.index, keep_hdr=run.form.keep_hdr)
    copier = _Copier(run)
    try:
        for plan in plans:
            if problem is None:
                yield copier.result(plan)
            else:
                message = f"transcode_encoder copy: {run.source}: {problem}"
                yield plan.failed(MediaError("not_copyable", message))
    finally:
        copier.close()


class _Copier:
    """Copies one clip after the other; the sound is read forward once."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._audio: AudioSource | None = None

    def result(self, plan: ClipPlan) -> CutResult:
        run = self._run
        if not (run.keeps(plan) if plan.broken else plan.num_frames):
            return run.without_file(plan)
        partial, path = run.paths(plan.clip_id)
        try:
            stretch = find_stretch(run.source, run.facts, run.index, plan)
            if stretch is None:
                raise self._no_keyframe(plan)
            plan = _left_of(plan, stretch, run)
            self._check_length(plan)
            self._write(partial, plan, stretch)
        except MediaError as error:
            partial.unlink(missing_ok=True)
            return plan.failed(error)
        partial.replace(path)
        return dataclasses.replace(plan.encoded(path), made_by="copy")

    def close(self) -> None:
        if self._audio is not None:
            self._audio.close()

    def _write(self, partial: Path, plan: ClipPlan, stretch: Stretch) -> None:
        run = self._run
        start, end = (pts * run.facts.time_base for pts in plan.true_span_pts)
        if self._audio is None and run.facts.audio_codec:
            self._audio = AudioSource(
                run.source, start=start, seekable=run.facts.has_keyframe_index
            )
        try:
            with (
                open_input(str(run.source), name=run.source.name) as template,
                av.open(str(partial), "w", format="mp4", options=MUXER_OPTIONS) as out,
            ):
                source = template.streams[run.facts.stream_index]
                video: Stream = out.add_stream_from_template(source, opaque=True)
                video.time_base = run.facts.time_base
                sound = self._audio.clip(out, start=start, end=end) if self._audio else None
                self._mux(out, video, sound, plan, stretch)
        except (av.error.ArgumentError, av.error.InvalidDataError) as error:
            raise_if_memory_is_scarce(error)
            raise MediaError(
                "not_copyable",
                f"{run.source}: its {run.facts.codec} packets cannot be written to mp4 "
                f"({error.strerror}); take another transcode_encoder for this video",
            ) from error

    def _mux(
        self,
        out: av.container.OutputContainer,
        video: Stream,
        sound: Iterator[av.Packet] | None,
        plan: ClipPlan,
        stretch: Stretch,
    ) -> None:
        run, times = self._run, _decode_times(stretch.pts)
        length = plan.true_span_pts[1] - plan.true_span_pts[0]
        ends = [*times[1:], times[0] + length]
        packets = packets_from(run.source, run.facts, run.index, entry=stretch.entry)
        following = next(sound, None) if sound is not None else None
        for number, pts in enumerate(stretch.pts):
            # Between them lie frames of an open GOP, which are left out.
            packet: av.Packet = next(packet for packet, stored in packets if stored == pts)
            if stretch.hints and not number:
                packet = av.Packet(stretch.hints + bytes(packet))
                packet.is_keyframe = True
            packet.pts, packet.dts = pts - stretch.pts[0], times[number]
            packet.duration = max(1, ends[number] - times[number])
            packet.stream = video
            packet.time_base = run.facts.time_base
            until: Fraction = packet.dts * run.facts.time_base
            out.mux(packet)
            while sound and following and (following.pts or 0) * following.time_base <= until:
                out.mux(following)
                following = next(sound, None)
        while sound and following:
            out.mux(following)
            following = next(sound, None)

    def _check_length(self, plan: ClipPlan) -> None:
        first, end = plan.true_span_pts
        seconds = (end - first) * self._run.facts.time_base
        shortest = self._run.settings.shortest_seconds
        if seconds < shortest:
            raise MediaError(
                "too_short",
                f"transcode_encoder copy: from its first keyframe on the clip lasts "
                f"{float(seconds):.3f} s, less than the {float(shortest):g} s of "
                "fixed_stride_min_clip_length_s (of shots transnetv2_min_length_s); lower that, "
                "ask for longer clips, or take another transcode_encoder",
            )

    def _no_keyframe(self, plan: ClipPlan) -> MediaError:
        first = int(self._run.index.pts[0])
        start, end = (float((pts - first) * self._run.facts.time_base) for pts in plan.span_pts)
        return MediaError(
            "no_keyframe",
            f"transcode_encoder copy: no keyframe that a clip can begin with lies in the "
            f"span from second {start:.3f} to {end:.3f}; ask for longer clips, or take another "
            "transcode_encoder",
        )


def _left_of(plan: ClipPlan, stretch: Stretch, run: Run) -> ClipPlan:
    """Return the plan of the frames that are copied."""
    pts = run.index.pts[plan.first : plan.first + plan.num_frames]
    skipped = int((pts < stretch.pts[0]).sum())
    ended = plan
    if skipped + len(stretch.pts) < plan.num_frames:
        ended = plan.shortened(skipped + len(stretch.pts), run.index)
    return dataclasses.replace(
        ended,
        first=plan.first + skipped,
        num_frames=len(stretch.pts),
        true_span_pts=(stretch.pts[0], ended.true_span_pts[1]),
    )


def _decode_times(pts: Sequence[int]) -> list[int]:
    """Return the DTS of packets in decode order, counted from the first PTS.

    The PTS in order, all earlier by as much as it takes that none is later than its packet's PTS:
    the distances of DTS are the frames' durations, and what the source's DTS are does not matter.

    Example:
        >>> _decode_times([0, 30, 10, 20])
        [-10, 0, 10, 20]
    """
    ordered = sorted(pts)
    delay = max(dts - shown for dts, shown in zip(ordered, pts, strict=True))
    return [dts - delay - pts[0] for dts in ordered]
