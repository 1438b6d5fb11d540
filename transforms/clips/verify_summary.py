"""Check the summary against the records it sums up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from transforms.checked_files import BadFileError, read_checked
from transforms.clips.summary import make_summary, run_fields
from transforms.clips.verify_runs import Runs
from transforms.finding import Finding, Watch
from transforms.formats.summary import Summary
from transforms.layout import summary_uri
from transforms.storage.interface import NotFoundError

_LAST_RUN = ("embedding_algorithm", "resolved")
"""Options of the run that wrote the summary; a later run with nothing to do may have others."""


def verify_summary(root: str, runs: Runs, watch: Watch) -> Iterator[Finding]:
    """Yield what is wrong with the summary of an output whose records are all as they should be."""
    uri = summary_uri(root)
    if runs.last is None:
        return
    try:
        summary = read_checked(uri, Summary, watch)
    except NotFoundError:
        yield Finding("summary", "summary", uri, "is missing")
        return
    except BadFileError as error:
        yield Finding("summary", "summary", uri, str(error), (uri,))
        return
    this_run = {
        **run_fields(runs.last, runs.last["minutes"]),
        **{name: summary[name] for name in _LAST_RUN},
    }
    expected = make_summary(root, this_run)
    names = expected.keys() | summary.keys()
    wrong = sorted(name for name in names if expected.get(name) != summary.get(name))
    if wrong:
        videos = sorted(_different(expected["videos"], summary["videos"]))
        reason = f"{', '.join(wrong)}: not what the records say"
        reason += f" (videos: {', '.join(videos)})" if videos else ""
        yield Finding("summary", "summary", uri, reason, (uri,))


def _different(expected: dict[str, Any], found: dict[str, Any]) -> set[str]:
    return {rel for rel in expected.keys() | found if expected.get(rel) != found.get(rel)}
