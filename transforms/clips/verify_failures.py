"""Check the failure files of an output."""

from __future__ import annotations

from transforms.checked_files import BadFileError, list_files, read_checked
from transforms.clips.clip_state import CLIP_STAGES
from transforms.clips.video_state import VIDEO_STAGES
from transforms.finding import Finding, Watch
from transforms.formats.document import Document
from transforms.formats.failure import ClipFailure, VideoFailure
from transforms.layout import FAILURES
from transforms.records import Failure
from transforms.storage.uris import join

Failures = dict[str, tuple[str, Failure]]
"""Id of the failed video or clip to the failure's file and content."""


def read_checked_failures(root: str, watch: Watch) -> tuple[Failures, Failures, list[Finding]]:
    """Return failed videos, failed clips, and what is wrong with the files that say so."""
    videos: Failures = {}
    clips: Failures = {}
    findings: list[Finding] = []
    for stage in VIDEO_STAGES:
        _read_stage(root, stage, VideoFailure, (videos, findings), watch)
    # As a resume reads them: the failure of the first stage counts.
    for stage in reversed(CLIP_STAGES):
        _read_stage(root, stage, ClipFailure, (clips, findings), watch)
    return videos, clips, findings


def _read_stage(
    root: str,
    stage: str,
    document: type[Document],
    found: tuple[Failures, list[Finding]],
    watch: Watch,
) -> None:
    failures, findings = found
    folder = join(root, FAILURES, stage)
    for stat in list_files(folder):
        name = stat.uri.rsplit("/", 1)[-1].removesuffix(".json")
        try:
            content = read_checked(stat.uri, document, watch)
            if (content["id"], content["stage"]) != (name, stage):
                raise BadFileError(f"is of {content['id']} in stage {content['stage']}")
        except BadFileError as error:
            findings.append(Finding("failure", name, stat.uri, str(error), (stat.uri,)))
            continue
        failure = Failure(stage, content["reason"], content["message"])
        failures[name] = (stat.uri, failure)
