"""Cut a run of clips out of a video in one forward decode pass."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from transforms.media.clip_form import UNCHANGED, ClipForm
from transforms.media.copy_clip import copied_clips
from transforms.media.cut_pass import CutPass
from transforms.media.cut_plan import ClipPlan, CutResult, CutSpan, plan_clip
from transforms.media.decode import DecodeCounters
from transforms.media.encode_settings import COPY, EncodeSettings
from transforms.media.frame_choice import fitted
from transforms.media.packet_index import PacketIndex
from transforms.media.passthrough import passthrough_reason
from transforms.media.run_of_clips import Run
from transforms.records import VideoFacts

__all__ = ["CutResult", "CutSpan", "cut_run"]


def cut_run(  # noqa: PLR0913 - the settings of a cut, all by name
    source: Path,
    facts: VideoFacts,
    index: PacketIndex,
    spans: Sequence[CutSpan],
    *,
    settings: EncodeSettings,
    folder: Path,
    windows: tuple[int, int],
    counters: DecodeCounters,
    keep_prefix: float | None = None,
    crop: tuple[int, int, int, int] | None = None,
    form: ClipForm | None = None,
) -> Iterator[CutResult]:
    """Cut ``spans`` in one decode pass; yield each result, in order, as its file closes.

    A clip holds exactly the frames with ``start <= PTS < end``, or those of them that ``form`` asks
    for. Each encoder puts a keyframe at
    every window start and nowhere else, so that a window is taken out later by copying packets.
    Copied clips (``COPY``) begin and end where packets let them, see ``copied_clips``.
    The same span gives the same bytes, whatever spans are cut with it. Memory does not grow with
    the length of the video or of a clip.

    A clip that cannot be cut yields its failure. After a failure of the decoder, clips that a later
    keyframe leads to are still cut; those that only the damaged stretch leads to fail alike.

    Args:
        source: Local file.
        facts: What ``probe`` found in it.
        index: Its packet index.
        spans: Disjoint, in order; gaps are allowed.
        settings: How to encode.
        folder: Where ``{clip_id}.mp4`` appears, whole; must exist.
        windows: Caption window size and remainder threshold in frames.
        counters: Counts what was decoded; added to.
        keep_prefix: None: a clip whose source breaks off fails. Else it ends at the last good frame
            if it lasts at least so many seconds, and clips without a good frame do not fail;
            ``truncated`` marks both. The clip that holds the video's first frame fails without it.
        crop: Left, top, width and height of what clips show, in stored pixels, see ``crop_box``;
            None: everything. No clip is passed through then.
        form: Size, rate and count of frames that are asked for; None: as the source has them. With
            any of them no clip is passed through.
    """
    form = form or UNCHANGED
    run = Run(source, facts, index, settings, folder, windows, counters, keep_prefix, crop, form)
    if settings.codec == COPY:
        yield from copied_clips(run, [plan_clip(span, facts, index) for span in spans])
        return
    plans = [fitted(plan_clip(span, facts, index), form, index, facts) for span in spans]
    if _passes_through(run, plans):
        yield _pass_through(run, plans[0])
        return
    while plans:
        one = CutPass(run, plans)
        yield from one.results()
        plans = one.left


def _passes_through(run: Run, plans: list[ClipPlan]) -> bool:
    changed = run.crop is not None or run.form != UNCHANGED
    if not run.settings.passthrough or changed or len(plans) != 1 or plans[0].broken:
        return False
    start_pts, end_pts = plans[0].span_pts
    reason = passthrough_reason(run.facts, run.index, start_pts=start_pts, end_pts=end_pts)
    return reason is None


def _pass_through(run: Run, plan: ClipPlan) -> CutResult:
    partial, path = run.paths(plan.clip_id)
    shutil.copyfile(run.source, partial)
    partial.replace(path)
    return CutResult(plan.clip_id, path, "passthrough", plan.num_frames, plan.true_span_pts)
