"""Close a version: check its ledger, tell what its captions are like."""

from __future__ import annotations

from dataclasses import dataclass

import apache_beam as beam

from transforms.json_files import read_json_if_there
from transforms.lease import raise_if_lost
from transforms.recaption.annotation_files import write_annotation_files
from transforms.recaption.ledger import AnnotationLedger, raise_if_missing, read_annotation_ledger
from transforms.recaption.list_clips import summary_uri
from transforms.recaption.settings import RecaptionSettings
from transforms.run_context import RunContext
from transforms.scratch import scratch_here


def finish_recaption(num_written: int, context: RunContext, settings: RecaptionSettings) -> str:
    """Check the version's ledger, write its files and return the run's id.

    When nothing was open, nothing is written. Doing it again changes nothing.

    Raises:
        LeaseLostError: Another run has taken over the version.
        LedgerError: A clip is neither committed nor failed.
    """
    raise_if_lost(context.lease_uri, context.run_id)
    root, version = context.root, context.annotation_version
    ledger = read_annotation_ledger(root, version, settings.limit)
    raise_if_missing(ledger, version)
    if num_written or not _is_told(root, version, ledger):
        scratch = scratch_here(context.scratch) / f"captions-{context.run_id}"
        write_annotation_files(context, ledger, scratch, all_captions=settings.all_captions)
    return context.run_id


def _is_told(root: str, version: str, ledger: AnnotationLedger) -> bool:
    """Return whether the summary counts what is there."""
    summary = read_json_if_there(summary_uri(root, version))
    return summary is not None and (
        (summary["num_clips_annotated"], summary["num_clips_failed"])
        == (len(ledger.committed), len(ledger.failed))
    )


@dataclass
class FinishRecaption(beam.PTransform):
    """Close the version when every clip is written.

    Input: ids of clips. Output: exactly one element, the run's id. Hangs on a global combine,
    because grouping nothing would never fire. Idempotent.
    """

    context: RunContext
    settings: RecaptionSettings

    def expand(self, clip_ids: beam.PCollection[str]) -> beam.PCollection[str]:
        """Attach the end of the run."""
        return (
            clip_ids
            | beam.combiners.Count.Globally()
            | beam.Map(finish_recaption, self.context, self.settings).with_output_types(str)
        )
