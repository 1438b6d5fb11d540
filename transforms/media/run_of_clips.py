"""What all clips of a run share: the source, how clips are made, what becomes of broken ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from transforms.media.clip_form import UNCHANGED, ClipForm
from transforms.media.cut_plan import ClipPlan, CutResult
from transforms.media.decode import DecodeCounters
from transforms.media.encode_settings import EncodeSettings
from transforms.media.packet_index import PacketIndex
from transforms.records import VideoFacts


@dataclass(frozen=True, slots=True)
class Run:
    """What all clips of a run share; see ``cut_run``."""

    source: Path
    facts: VideoFacts
    index: PacketIndex
    settings: EncodeSettings
    folder: Path
    windows: tuple[int, int]
    counters: DecodeCounters
    keep_prefix: float | None = None
    crop: tuple[int, int, int, int] | None = None
    form: ClipForm = UNCHANGED

    def paths(self, clip_id: str) -> tuple[Path, Path]:
        """Return where a clip is written and where it appears when it is whole."""
        return self.folder / f".{clip_id}.partial", self.folder / f"{clip_id}.mp4"

    def keeps(self, plan: ClipPlan) -> bool:
        """Whether a clip whose source breaks off is kept up to there."""
        if self.keep_prefix is None or not plan.num_frames:
            return False
        first, end = plan.true_span_pts
        return (end - first) * self.facts.time_base >= self.keep_prefix

    def without_file(self, plan: ClipPlan) -> CutResult:
        """Return the result of a clip that is not kept, for lack of frames or by a fault."""
        if plan.refused is not None:
            return plan.failed(plan.refused)
        if plan.broken is None:
            return plan.encoded(None)
        # A video that does not even give its first frame has no prefix to accept.
        nothing = plan.first == 0 and not plan.num_frames
        if self.keep_prefix is None or nothing:
            return plan.failed(plan.broken)
        return plan.shortened(0, self.index).encoded(None)
