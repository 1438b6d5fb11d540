"""The ledger of a version: every clip that is to be captioned anew is committed or failed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from transforms.errors import LedgerError, MediaError
from transforms.json_files import read_json
from transforms.layout import FAILURES, annotations_uri
from transforms.recaption.first_meta import read_first_meta
from transforms.recaption.list_clips import committed_clips, failed_clips, planned_clips
from transforms.records import video_uuid
from transforms.shards.samples import is_kept
from transforms.storage.open_storage import storage_for
from transforms.storage.plain_names import is_plain_name

MISSING_SHOWN = 20


@dataclass
class AnnotationLedger:
    """What became of the clips of a version, from files alone."""

    committed: list[str] = field(default_factory=list)
    """Ids, sorted."""
    failed: list[str] = field(default_factory=list)
    """Names of the failure files, sorted."""
    missing: list[str] = field(default_factory=list)
    """What was lost, or is still to be done."""

    @property
    def num_planned(self) -> int:
        """Clips that are to be captioned anew."""
        return len(self.committed) + len(self.failed) + len(self.missing)

    @property
    def failed_share(self) -> float:
        """Share of the clips that failed, 0 when there are none."""
        return len(self.failed) / self.num_planned if self.num_planned else 0.0


def read_annotation_ledger(root: str, version: str, limit: int) -> AnnotationLedger:
    """Return what became of the clips that are planned now.

    Args:
        root: Output root of ``split``.
        version: Version of the metadata.
        limit: Only of so many, those with the smallest ids, it is expected; 0: of all.
    """
    ledger = AnnotationLedger()
    committed, failed = committed_clips(root, version), failed_clips(root, version)
    for number, clip_id in enumerate(planned_clips(root)):
        name = clip_id if is_plain_name(clip_id) else video_uuid(clip_id)
        if name in committed:
            ledger.committed.append(name)
        elif name in failed:
            ledger.failed.append(name)
        elif not (limit and number >= limit) and not _is_rejected(root, clip_id):
            ledger.missing.append(name)
    return ledger


def _is_rejected(root: str, clip_id: str) -> bool:
    # Rare: only where no summary of an ended run says which clips are kept.
    try:
        return not is_kept(read_first_meta(root, clip_id))
    except MediaError:
        return False


def raise_if_missing(ledger: AnnotationLedger, version: str) -> None:
    """Raise LedgerError naming the clips that have neither captions nor a failure, if any."""
    if ledger.missing:
        names = ", ".join(ledger.missing[:MISSING_SHOWN])
        raise LedgerError(
            f"{len(ledger.missing)} clips have neither metadata nor a failure in version "
            f"{version}: {names}; run the same command again to complete it"
        )


def failure_reasons(root: str, version: str, names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield (reason, message) of failed clips."""
    wanted = set(names)
    folder = annotations_uri(root, version, FAILURES)
    for stat in storage_for(folder).list(folder):
        if stat.uri.rsplit("/", 1)[-1].removesuffix(".json") in wanted:
            content = read_json(stat.uri)
            yield content["reason"], content["message"]
