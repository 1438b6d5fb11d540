"""Failures are written where they arise: one JSON file per failed video or clip."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from transforms.errors import MediaError
from transforms.json_files import create_json
from transforms.layout import failure_uri
from transforms.progress import count
from transforms.records import Failure
from transforms.run_context import SCHEMA_VERSION, RunContext

_logger = logging.getLogger(__name__)

Element = TypeVar("Element")
Result = TypeVar("Result")


def write_failure(
    context: RunContext,
    failure: Failure,
    *,
    element_id: str,
    source: dict[str, Any],
    details: str = "",
) -> None:
    """Store a failure file; the first one for this stage and element stands.

    Args:
        context: The run.
        failure: Stage, reason and message.
        element_id: Id of the failed video or clip; names the file.
        source: What failed: input, span, ...
        details: Traceback or the end of a child's stderr.
    """
    content = {
        "schema_version": SCHEMA_VERSION,
        "id": element_id,
        "stage": failure.stage,
        "reason": failure.reason,
        "message": failure.message,
        "traceback": details,
        **source,
    }
    if create_json(failure_uri(context.root, failure.stage, element_id), content):
        count(context.progress_folder, failures=1)
        _logger.warning("%s failed: %s", failure.stage, failure.message)


def skip_failed(
    stage: str, work: Callable[[Element], Result], context: RunContext
) -> Callable[[Element], Iterator[Result]]:
    """Return ``work`` as a function for FlatMap that writes a video's MediaError and emits nothing.

    Only for stages before the plan: there a failed element ends, its failure file is in the ledger.
    The element must have a ``video`` or be a Video.
    """

    def run(element: Element) -> Iterator[Result]:
        try:
            result = work(element)
        except MediaError as error:
            video = getattr(element, "video", element)
            write_failure(
                context,
                Failure(stage=stage, reason=error.reason, message=error.message),
                element_id=video.video_uuid,  # type: ignore[union-attr]
                source={"video": video.uri, "rel": video.rel},  # type: ignore[union-attr]
                details=traceback.format_exc(),
            )
            return
        yield result

    return run
