"""Check a version of the annotations against the metadata that it was made from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from transforms.checked_files import BadFileError, list_files, read_checked
from transforms.clips.stored_clip import has_content
from transforms.errors import MediaError
from transforms.finding import Finding, Watch
from transforms.formats.annotations import AnnotatedMeta, AnnotationFailure, AnnotationSummary
from transforms.formats.caption_stats import CaptionQuality
from transforms.formats.document import Document
from transforms.formats.run_record import StoredOptions
from transforms.json_files import BadJsonError
from transforms.layout import (
    ANNOTATIONS,
    FAILURES,
    METAS,
    all_captions_uri,
    annotations_uri,
    meta_uri,
)
from transforms.models.captions.engine import CAPTIONED
from transforms.recaption.annotated_meta import CAPTION_FIELDS
from transforms.recaption.annotation_files import make_annotation_files, quality_uri
from transforms.recaption.first_meta import read_first_meta
from transforms.recaption.ledger import AnnotationLedger, read_annotation_ledger
from transforms.recaption.list_clips import summary_uri
from transforms.storage.interface import NotFoundError
from transforms.storage.uris import join, relative

_WHAT = "annotation"
_MAY_DIFFER = CAPTION_FIELDS | {"clip_location", "rejection", "previews"}
"""What is made anew, and what later runs of ``split`` may decide otherwise."""
_IDENTITY = frozenset({"span_uuid", "source_video", "num_bytes", "sha256", "num_frames"})
_CLIP = re.compile(r"([^/]+)\.json")


def annotation_versions(root: str) -> list[str]:
    """Return the versions that ``recaption`` has begun in an output, sorted."""
    folder = join(root, ANNOTATIONS)
    return sorted({relative(stat.uri, folder).split("/")[0] for stat in list_files(folder)})


def verify_annotations(root: str, version: str, *, scratch: Path, watch: Watch) -> list[Finding]:
    """Return everything that is missing or wrong in a version.

    Every metadata file says what ``split`` wrote but for its captions (stages turned on later may
    have added to v0, which is no fault of it), every clip has one or a
    failure, and what is told of all of them is what they say. The clips themselves are verified
    with the output.
    """
    findings: list[Finding] = []
    options = _checked(version, annotations_uri(root, version, "options.json"), StoredOptions,
                       findings, watch)  # fmt: skip
    findings += _metas(root, version, watch)
    findings += _failures(root, version, watch)
    if options is None or findings:
        return findings
    try:
        ledger = read_annotation_ledger(root, version, int(options["options"].get("limit") or 0))
    except BadJsonError:
        # Which clips there are is told by the summary of the output, which is verified by itself.
        return findings
    for clip_id in ledger.missing:
        uri = meta_uri(root, clip_id, version)
        reason = "has neither metadata of this version nor a failure"
        findings.append(Finding(_WHAT, f"{version}/{clip_id}", uri, reason, num_clips=1))
    return findings or list(_files(root, version, options, ledger, (scratch, watch)))


def _checked(
    version: str, uri: str, document: type[Document], findings: list[Finding], watch: Watch
) -> dict[str, Any] | None:
    try:
        return read_checked(uri, document, watch)
    except NotFoundError:
        findings.append(Finding(_WHAT, version, uri, "is missing; give the same options again"))
    except BadFileError as error:
        findings.append(Finding(_WHAT, version, uri, str(error), (uri,)))
    return None


def _metas(root: str, version: str, watch: Watch) -> Iterator[Finding]:
    folder = join(root, METAS, version)
    for stat in list_files(folder):
        match = _CLIP.fullmatch(relative(stat.uri, folder))
        if match is None:
            continue
        clip = f"{version}/{match.group(1)}"
        # The summary goes first: it says that nothing is open.
        removes = (summary_uri(root, version), stat.uri)
        try:
            first = read_first_meta(root, match.group(1))
        except MediaError as error:
            # No fault of these captions: they are what they were when split makes it again.
            yield Finding(_WHAT, clip, stat.uri, f"cannot be compared with v0: {error}")
            continue
        problem = _meta_problem(stat.uri, first, watch)
        if problem is not None:
            yield Finding(_WHAT, clip, stat.uri, problem, removes, num_clips=1)


def _meta_problem(uri: str, first: dict[str, Any], watch: Watch) -> str | None:
    try:
        meta = read_checked(uri, AnnotatedMeta, watch)
    except BadFileError as error:
        return str(error)
    wrong = [name for name in sorted(meta.keys() - _MAY_DIFFER) if not _agree(meta, first, name)]
    wrong += sorted(name for name in _IDENTITY & first.keys() if name not in meta)
    if wrong:
        return f"{', '.join(wrong)}: not what split wrote"
    captioned = any(window.get("caption_status") in CAPTIONED for window in meta["windows"])
    if (meta["has_caption"], meta["valid"]) != (captioned, bool(meta["windows"])):
        return "has_caption or valid: not what its windows say"
    return None


def _agree(meta: dict[str, Any], first: dict[str, Any], name: str) -> bool:
    """Return whether a field says what v0 says, which may have learnt more since."""
    mine, theirs = meta[name], first.get(name)
    if isinstance(mine, dict) and isinstance(theirs, dict):
        return all(theirs.get(key) == value for key, value in mine.items())
    return bool(mine == theirs)


def _failures(root: str, version: str, watch: Watch) -> Iterator[Finding]:
    folder = annotations_uri(root, version, FAILURES)
    for stat in list_files(folder):
        name = relative(stat.uri, folder).removesuffix(".json")
        removes = (summary_uri(root, version), stat.uri)
        try:
            read_checked(stat.uri, AnnotationFailure, watch)
        except BadFileError as error:
            yield Finding(_WHAT, f"{version}/{name}", stat.uri, str(error), removes)


def _files(
    root: str,
    version: str,
    options: dict[str, Any],
    ledger: AnnotationLedger,
    with_what: tuple[Path, Watch],
) -> Iterator[Finding]:
    """Yield what is wrong with the files about all captions; all clips are as they should be."""
    scratch, watch = with_what
    summary = summary_uri(root, version)
    algorithm = str(options["options"].get("captioning_algorithm"))
    made = make_annotation_files(root, version, algorithm, ledger, scratch)
    told = (
        (summary, AnnotationSummary, made.summary),
        (quality_uri(root, version), CaptionQuality, made.stats),
    )
    for uri, document, expected in told:
        try:
            problem = None if read_checked(uri, document, watch) == expected else "is not true"
        except NotFoundError:
            problem = "is missing"
        except BadFileError as error:
            problem = str(error)
        if problem is not None:
            yield Finding(_WHAT, version, uri, problem, tuple(dict.fromkeys((summary, uri))))
    captions = all_captions_uri(root, version)
    if options["options"].get("write_all_caption_json") and not has_content(
        captions, made.captions
    ):
        reason = "is not what the clips' metadata says, or missing"
        yield Finding(_WHAT, version, captions, reason, (summary, captions))
