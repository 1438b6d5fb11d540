"""The command ``verify``: recompute from files what an output claims, and mend what is false."""

from __future__ import annotations

import contextlib
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from beam_pipeline.exit_status import EXIT_FAILED, EXIT_OK
from transforms.checked_files import list_files
from transforms.clips.verified_clips import VerifiedClips
from transforms.clips.verify_output import is_output, verify_output
from transforms.errors import UsageError
from transforms.finding import Finding, remove
from transforms.layout import annotation_lease_uri, lease_uri, options_uri
from transforms.lease import hold_lease, lease_holder
from transforms.recaption.verify_annotations import annotation_versions, verify_annotations
from transforms.scratch import new_run_id
from transforms.shards.layout import version_lease_uri
from transforms.shards.options import DatasetRun
from transforms.shards.verify_dataset import dataset_versions, verify_dataset
from transforms.storage.routes import StorageRoute, register
from transforms.storage.uris import absolute, scheme_of

_PROGRESS_SECONDS = 10.0
_VERSION = re.compile(r"[^/\s.][^/\s]*")

Dataset = tuple[str, str]
"""Root and version."""


def run_verify(path: str, *, repair: bool, profile: str | None = None) -> int:
    """Verify an output of ``split`` or ``curate``, or a dataset, and return the exit status.

    0: all that was selected is there, and all that is there is what it claims to be. 1: not so;
    every finding is printed with its id, path and reason. With ``repair`` what is damaged loses
    the commits that stand for it, so that the command that made it makes it again.

    Versions of the annotations that ``recaption`` made in an output are verified with it.

    Args:
        path: What to verify.
        repair: Whether damage is taken away.
        profile: Credentials profile for everything that is read in stores; None: ``default``.

    Raises:
        UsageError: There is no output and no dataset of this program at ``path``.
        PreflightError: ``repair``, and a run is at work there.
    """
    root, run_id = absolute(path), new_run_id()
    # The dataset may lie beside the output: the profile is for the whole of the store.
    register(
        [StorageRoute(f"{scheme_of(root)}://", profile)] if scheme_of(root) and profile else []
    )
    output, datasets = _what_is_at(root, path)
    versions = annotation_versions(root)
    watch = _Progress()
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="verify-")))
        _lease(stack, lease_uri(root) if output else None, repair=repair, run_id=run_id)
        findings: list[Finding] = []
        clips: VerifiedClips | None = None
        if output:
            found = verify_output(root, watch)
            findings, clips = found.findings, found.clips
            datasets = list(_named_dataset(root, found.options, findings))
        for dataset_root, version in datasets:
            uri = version_lease_uri(dataset_root, version)
            _lease(stack, uri, repair=repair, run_id=run_id)
            run = DatasetRun(
                input_root=root if output else "",
                dataset_root=dataset_root,
                annotation_version=version,
                progress_folder=str(scratch),
                scratch=str(scratch),
            )
            findings += verify_dataset(run, clips, scratch=scratch, watch=watch)
        for version in versions:
            uri = annotation_lease_uri(root, version)
            _lease(stack, uri, repair=repair, run_id=run_id)
            findings += verify_annotations(root, version, scratch=scratch, watch=watch)
        verified = [f"captions  version {version}" for version in versions]
        verified += [f"dataset   {dataset}, {version}" for dataset, version in datasets]
        print("\n".join(_lines(findings, root, clips, verified, watch.num_bytes)))
        if repair and findings:
            print(_repaired(findings))
        elif findings:
            print(_what_to_do(findings, path))
    return EXIT_FAILED if findings else EXIT_OK


class _Progress:
    """Says every few seconds how much was read."""

    def __init__(self) -> None:
        self.num_bytes = 0
        self._next_at = time.monotonic() + _PROGRESS_SECONDS

    def __call__(self, num_bytes: int) -> None:
        """Note a block that was read."""
        self.num_bytes += num_bytes
        if time.monotonic() >= self._next_at:
            self._next_at = time.monotonic() + _PROGRESS_SECONDS
            print(f"verify: {_megabytes(self.num_bytes)} read", file=sys.stderr, flush=True)


def _what_is_at(root: str, path: str) -> tuple[bool, list[Dataset]]:
    """Return whether an output is there, and which datasets are."""
    if next(iter(list_files(root)), None) is None:
        raise UsageError(f"{path}: there is no such folder, or nothing in it; verify needs one")
    output = is_output(root)
    datasets = [] if output else [(root, version) for version in dataset_versions(root)]
    if not output and not datasets and not annotation_versions(root):
        raise UsageError(
            f"{path}: is neither an output of split or curate (output_clip_path) nor a dataset "
            "(output_dataset_path) that this program wrote: it has no runs/ and no .work/ to "
            "verify it by"
        )
    return output, datasets


def _named_dataset(
    output: str, options: dict[str, Any] | None, findings: list[Finding]
) -> Iterator[Dataset]:
    """Yield the dataset that ``curate`` made beside its output, as its options name it."""
    if options is None or options["pipeline"] != "curate":
        return
    values = options["options"]
    root, version = values.get("output_dataset_path"), values.get("annotation_version")
    if not isinstance(root, str) or not _VERSION.fullmatch(str(version)):
        uri, reason = options_uri(output), "does not name the dataset that curate makes"
        findings.append(Finding("options", "options", uri, reason, (uri,)))
        return
    root = absolute(root)
    if str(version) in dataset_versions(root):
        yield root, str(version)
        return
    reason = "is named by runs/options.json and not there; if it was moved, verify it where it is"
    findings.append(Finding("dataset", str(version), root, reason))


def _lease(stack: contextlib.ExitStack, uri: str | None, *, repair: bool, run_id: str) -> None:
    if uri is None:
        return
    if repair:
        stack.enter_context(hold_lease(uri, run_id))
    elif holder := lease_holder(uri):
        print(
            f"verify: {holder} is at work here: what it has not finished is found missing",
            file=sys.stderr,
        )


def _lines(
    findings: list[Finding],
    root: str,
    clips: VerifiedClips | None,
    verified: list[str],
    num_bytes: int,
) -> list[str]:
    what = "intact and complete" if not findings else f"{len(findings)} findings"
    lines = [f"beam-curate verify: {what} ({_megabytes(num_bytes)} read)", f"  verified  {root}"]
    if clips is not None:
        lines.append(f"  clips     {len(clips.committed)} good of {len(clips.planned)} planned")
    lines += [f"  {line}" for line in verified]
    return lines + [f"  {one.what} {one.id}: {one.path}: {one.reason}" for one in findings]


def _what_to_do(findings: list[Finding], path: str) -> str:
    num_damaged = sum(finding.is_damage for finding in findings)
    if num_damaged:
        return (
            f"{num_damaged} damaged. To mend: python -m beam_pipeline verify {path} --repair; "
            "then the same command as before makes what is missing, to the same bytes."
        )
    return (
        f"incomplete: {_to_do(findings)} to do; run the same command again. Nothing that is "
        "committed is damaged."
    )


def _repaired(findings: list[Finding]) -> str:
    return (
        f"{remove(findings)} files removed, commits first; {_to_do(findings)} to do. Run the same "
        "command as before: it makes what is missing, to the same bytes."
    )


def _to_do(findings: list[Finding]) -> str:
    num_clips = sum(finding.num_clips for finding in findings)
    return f"{num_clips} clip{'' if num_clips == 1 else 's'}"


def _megabytes(num_bytes: int) -> str:
    return f"{num_bytes / 1e6:.1f} MB"
