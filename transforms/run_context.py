"""What every stage of one run shares; small, frozen and picklable."""

from __future__ import annotations

from dataclasses import dataclass, field

from transforms.filters.score_limits import LUMA_FILTERS
from transforms.layout import annotation_lease_uri, lease_uri
from transforms.storage.routes import RoutesHolder, StorageRoute

SCHEMA_VERSION = 1
"""Version of every JSON file this program writes; part of the fingerprints."""
FIRST_VERSION = "v0"
"""Version of the metadata that ``split`` writes."""
DECISION_STAGES = frozenset({"motion_filter", *(f"{name}_filter" for name in LUMA_FILTERS)})
"""Stages that only compare stored scores with thresholds."""


@dataclass(frozen=True)
class CaptionWriting:
    """How captions are judged and what is written of them, beside the clips' metadata."""

    flags: bool = True
    """Whether what is odd about a caption is flagged."""
    stats: bool = True
    """Whether ``caption_quality_stats.json`` is written."""
    language: str = ""
    """Language of which captions are to be; empty: not checked."""
    enhanced_by: str = ""
    """Upstream's name of the text model that rewrites captions; empty: none does."""
    predict_dataset: bool = False
    """Whether each captioned window becomes a video and a text of its own."""


@dataclass(frozen=True)
class RunContext(RoutesHolder):
    """Where a run writes and which stages are active in it."""

    root: str
    """Output root of ``split``."""
    run_id: str
    """Unique name of this run; temporaries lie under it."""
    scratch: str
    """Local folder for files in work, on every worker."""
    progress_folder: str
    """Local folder of the counters' files."""
    stages: tuple[tuple[str, str], ...]
    """Active stages of a clip in order: (stage, fingerprint)."""
    spans_fingerprint: str
    """Fingerprint of the options that decide where videos are cut."""
    retry_failed: bool = False
    annotation_version: str = FIRST_VERSION
    """Which metadata is written."""
    captioning_algorithm: str = ""
    """Whose captions are made, empty: none are. Part of field names of windows."""
    caption_writing: CaptionWriting = field(default_factory=CaptionWriting)
    embedding_algorithm: str = ""
    """Which one embeds clips, empty: none."""
    routes: tuple[StorageRoute, ...] = ()
    """Whose credentials open inputs and output; whoever holds a context can open them."""

    @property
    def lease_uri(self) -> str:
        """The lease that the run holds: of the output, or of one version of its annotations."""
        if self.annotation_version == FIRST_VERSION:
            return lease_uri(self.root)
        return annotation_lease_uri(self.root, self.annotation_version)

    def fingerprint(self, stage: str) -> str | None:
        """Return the fingerprint of an active stage, None when the stage is off."""
        return dict(self.stages).get(stage)

    def missing_stages(self, done: dict[str, str]) -> set[str]:
        """Return the active stages that ``done`` (stage to fingerprint) lacks.

        What was made with other options stands; what was only decided is decided again.
        """
        return {
            stage
            for stage, value in self.stages
            if stage not in done or (stage in DECISION_STAGES and done[stage] != value)
        }
