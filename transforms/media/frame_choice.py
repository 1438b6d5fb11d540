"""Which frames of a clip are shown at a constant rate, and how many remain."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from fractions import Fraction

from transforms.errors import MediaError
from transforms.media.clip_form import ClipForm
from transforms.media.cut_plan import ClipPlan, FrameChoice
from transforms.media.packet_index import PacketIndex
from transforms.records import VideoFacts

_LARGEST_TIME_SCALE = 1_000_000
"""Ticks per second of a clip: of a rate that a frame count asks for, rounded to fit; mp4 stores it
in 32 bits."""


def fitted(plan: ClipPlan, form: ClipForm, index: PacketIndex, facts: VideoFacts) -> ClipPlan:
    """Return the plan with the frames that ``form`` asks for: never one outside the span.

    At a constant rate frame k is the one whose PTS is nearest to k / rate after the clip's first
    PTS, the earlier of two equally near ones; there are as many as the clip's length holds, rounded
    half up. A count above the largest lowers the rate so that exactly the largest remains. Then the
    tail is trimmed to the frame multiple. A clip of too few frames is refused.
    """
    if not form.changes_frames or not plan.num_frames:
        return plan
    length = (plan.true_span_pts[1] - plan.true_span_pts[0]) * facts.time_base
    rate, count = form.rate, plan.num_frames
    if rate is not None:
        count = max(1, int(length * rate + Fraction(1, 2)))
    if form.max_frames is not None and count > form.max_frames:
        count = form.max_frames
        rate = 1 / (length / count).limit_denominator(_LARGEST_TIME_SCALE)
    wanted = form.trimmed(count)
    if not wanted:
        return _without_frames(plan, count, form, index)
    if rate is None:
        return plan.shortened(wanted, index)
    return _at_rate(plan, (wanted, wanted < count), rate, index, facts)


def _at_rate(
    plan: ClipPlan,
    wanted: tuple[int, bool],
    rate: Fraction,
    index: PacketIndex,
    facts: VideoFacts,
) -> ClipPlan:
    """Return the plan of so many frames at a rate; the flag says whether its tail is trimmed."""
    count, is_trimmed = wanted
    pts = [int(value) for value in index.pts[plan.first : plan.first + plan.num_frames]]
    ticks = 1 / (rate * facts.time_base)
    times_shown = _times_shown(pts, ticks, count)
    first_pts, end_pts = plan.true_span_pts
    if is_trimmed:
        last = pts[len(times_shown) - 1]
        end_pts = min(end_pts, max(last + 1, first_pts + round(count * ticks)))
    num_shown = sum(times > 0 for times in times_shown)
    num_in_span = sum(value < end_pts for value in pts)
    return dataclasses.replace(
        plan,
        num_frames=len(times_shown),
        true_span_pts=(first_pts, end_pts),
        choice=FrameChoice(rate, tuple(times_shown), count, num_in_span - num_shown),
    )


def _times_shown(pts: Sequence[int], ticks: Fraction, count: int) -> list[int]:
    """Return how often each frame is shown, up to the last that is.

    Args:
        pts: Of the clip's frames, ascending.
        ticks: From one shown frame to the next; exact, in whole numbers of any size.
        count: Frames to show.
    """
    times = [0]
    for number in range(count):
        doubled = 2 * number * ticks.numerator
        while len(times) < len(pts):
            middle = pts[len(times) - 1] + pts[len(times)] - 2 * pts[0]
            if doubled <= middle * ticks.denominator:
                break
            times.append(0)
        times[-1] += 1
    return times


def _without_frames(plan: ClipPlan, count: int, form: ClipForm, index: PacketIndex) -> ClipPlan:
    nothing = plan.shortened(0, index)
    if plan.broken is not None:
        return nothing
    error = MediaError(
        "too_few_frames",
        f"the clip has {count} frames, fewer than the {form.smallest_count} that "
        f"clip_frame_multiple {form.frame_multiple}n+1 asks for; ask for longer clips "
        "(fixed_stride_min_clip_length_s) or a higher clip_fps, or leave clip_frame_multiple out",
    )
    return dataclasses.replace(nothing, refused=error)
