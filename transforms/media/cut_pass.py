"""One forward decode pass over a run: frames in, clips out, and where to go on after a fault."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

import av
import numpy as np

from transforms.annotate.windows import caption_windows
from transforms.errors import MediaError
from transforms.media.audio import AudioSource
from transforms.media.clip_writer import ClipTimes, ClipWriter
from transforms.media.cut_plan import ClipPlan, CutResult
from transforms.media.decode import decode_frames
from transforms.media.frame_choice import fitted
from transforms.media.run_of_clips import Run
from transforms.media.upright import Upright


class CutPass:
    """Cuts clips out of one decode pass. ``left`` holds, afterwards, what another pass can cut."""

    def __init__(self, run: Run, plans: Sequence[ClipPlan]) -> None:
        self.left: list[ClipPlan] = []
        self._run = run
        self._pending = deque(plans)
        self._writer: ClipWriter | None = None
        self._num_taken = 0
        self._upright: Upright | None = None
        self._audio: AudioSource | None = None

    def results(self) -> Iterator[CutResult]:
        """Yield the result of each clip, in order, as it closes; those of ``left`` excepted."""
        yield from self._without_frames()
        if not self._pending:
            return
        reached = self._entry(self._pending[0])
        frames = self._frames()
        try:
            for frame in frames:
                assert frame.pts is not None
                reached = max(reached, frame.pts)
                result = self._take(frame)
                if result is not None:
                    yield result
                    yield from self._without_frames()
                    if not self._pending:
                        return
            yield from self._ended_early()
        except MediaError as error:  # Of decoding: those of a single clip are results.
            yield from self._fault(error, reached=reached)
        finally:
            self._abandon()
            if self._audio is not None:
                self._audio.close()

    def _frames(self) -> Iterator[av.VideoFrame]:
        run, last = self._run, self._pending[-1]
        start, end = self._pending[0].span_pts[0], last.span_pts[1]
        if last.num_frames:  # Frames behind a break are not to be waited for.
            end = int(run.index.pts[last.first + last.num_frames - 1]) + 1
        return decode_frames(
            str(run.source),
            run.facts,
            run.index,
            start_pts=start,
            end_pts=end,
            counters=run.counters,
        )

    def _without_frames(self) -> Iterator[CutResult]:
        while self._pending:
            plan = self._pending[0]
            if self._run.keeps(plan) if plan.broken else plan.num_frames:
                return
            yield self._run.without_file(self._pending.popleft())

    def _take(self, frame: av.VideoFrame) -> CutResult | None:
        """Encode a frame into the clip it lies in; return the clip's result if that was its last.

        A clip that fails for reasons of its own is given up; its other frames are passed over.
        """
        plan = self._pending[0] if self._pending else None
        if plan is None or frame.pts is None or frame.pts < plan.span_pts[0]:
            return None
        try:
            self._write(plan, frame)
            if self._num_taken < plan.num_frames:
                return None
            result = self._close(plan)
        except MediaError as error:
            self._abandon()
            result = plan.failed(error)
        self._pending.popleft()
        return result

    def _write(self, plan: ClipPlan, frame: av.VideoFrame) -> None:
        if self._writer is None:
            self._writer = self._open(plan, frame)
            self._num_taken = 0
        pts, number = self._run.index.pts, plan.first + self._num_taken
        # The decoder promised every frame of the index, in order; a clip must not hide a breach.
        assert frame.pts == pts[number], (frame.pts, pts[number])
        is_last = self._num_taken + 1 == plan.num_frames
        end = plan.true_span_pts[1] if is_last else int(pts[number + 1])
        times_shown = plan.choice.times_shown[self._num_taken] if plan.choice else 1
        self._num_taken += 1
        self._writer.write(frame, duration=end - int(pts[number]), times_shown=times_shown)

    def _open(self, plan: ClipPlan, frame: av.VideoFrame) -> ClipWriter:
        run = self._run
        if self._upright is None:
            self._upright = Upright(
                frame,
                rotation_degrees=run.facts.rotation_degrees,
                aspect=run.facts.sample_aspect_ratio,
                crop=run.crop,
                form=run.form,
                full_range_format="yuv420p" if run.settings.codec == "libsvtav1" else "yuvj420p",
            )
        if self._audio is None and run.facts.audio_codec:
            start = plan.true_span_pts[0] * run.facts.time_base
            seekable = run.facts.has_keyframe_index
            self._audio = AudioSource(run.source, start=start, seekable=seekable)
        size, remainder = run.windows
        windows = caption_windows(plan.num_shown, size=size, remainder=remainder)
        keyframes = frozenset({0, *(start for start, _ in windows)})
        return ClipWriter(
            run.paths(plan.clip_id)[0],
            ClipTimes(*plan.true_span_pts, keyframes, plan.choice.rate if plan.choice else None),
            upright=self._upright,
            facts=run.facts,
            settings=run.settings,
            audio=self._audio,
        )

    def _close(self, plan: ClipPlan) -> CutResult:
        assert self._writer is not None
        self._writer.finish(end_pts=plan.true_span_pts[1])
        self._writer = None
        partial, path = self._run.paths(plan.clip_id)
        partial.replace(path)
        return plan.encoded(path)

    def _abandon(self) -> None:
        if self._writer is not None:
            self._writer.abandon()
            self._writer = None

    def _ended_early(self) -> Iterator[CutResult]:
        """Yield what the last frames that never came leave behind.

        Only where packets do not tell frames (packed B-frames) may a decoder give less than was
        counted without a fault.
        """
        while self._pending:
            plan = self._pending.popleft()
            num_frames = self._num_taken if self._writer is not None else 0
            plan = plan.shortened(num_frames, self._run.index)
            if num_frames and self._cut_again(plan):
                return
            yield self._close(plan) if num_frames else plan.encoded(None)

    def _cut_again(self, plan: ClipPlan) -> bool:
        """Leave a clip that became shorter to another pass if that changes what it shows.

        What was encoded may be more frames than its form allows, or others.
        """
        run = self._run
        if not run.form.changes_frames:
            return False
        self._abandon()
        self.left = [fitted(plan, run.form, run.index, run.facts), *self._pending]
        return True

    def _broken(self, plan: ClipPlan, error: MediaError, *, num_frames: int) -> CutResult | None:
        """Return the result of a clip that decoding broke off in after ``num_frames`` frames.

        None: another pass cuts what remains of it.
        """
        plan = plan.broken_by(error, num_frames, self._run.index)
        if self._writer is not None and self._run.keeps(plan):
            return None if self._cut_again(plan) else self._close(plan)
        self._abandon()
        return self._run.without_file(plan)

    def _fault(self, error: MediaError, *, reached: int) -> Iterator[CutResult]:
        """Fail the clip that decoding stopped in and those behind that need the same stretch.

        From an earlier keyframe the decoder would come by the same fault again, once per clip.

        Args:
            error: Of decoding.
            reached: PTS up to which decoding came.
        """
        num_frames = self._num_taken if self._writer is not None else 0
        if num_frames or self._entry(self._pending[0]) <= reached:
            result = self._broken(self._pending.popleft(), error, num_frames=num_frames)
            if result is None:
                return
            yield result
        while self._pending:
            plan = self._pending[0]
            if plan.num_frames and self._entry(plan) > reached:
                self.left = list(self._pending)
                return
            self._pending.popleft()
            message = f"no keyframe lies between it and an earlier fault: {error.message}"
            result = self._broken(plan, MediaError(error.reason, message), num_frames=0)
            assert result is not None
            yield result

    def _entry(self, plan: ClipPlan) -> int:
        """Return the PTS of the keyframe that decoding of a clip begins at."""
        keyframes, first_pts = self._run.index.keyframe_pts, self._run.index.pts[plan.first]
        return int(keyframes[max(0, int(np.searchsorted(keyframes, first_pts, side="right")) - 1)])
