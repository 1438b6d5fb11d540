"""What goes to standard error: this program's warnings, without what Beam says of itself."""

from __future__ import annotations

import logging
import sys

_STEP_LOGGERS = ("apache_beam.runners.common", "apache_beam.runners.worker.sdk_worker")
"""They log every exception of a step with its traceback, in each process it passes through."""
_HARMLESS = (
    # Beam says this at every import without its [gcp] extra.
    "apitools not found",
    # Of local workers, which are handed nothing in a folder.
    "No semi_persistent_directory found",
)


def configure_logging(level: int) -> logging.Handler:
    """Send records of at least this level to standard error; return what sends them.

    What Beam says of a failed step is left out, except at debug level: the exception reaches the
    command, which says it once. Nothing changes where logging is configured already.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_is_news)
    logging.basicConfig(
        level=level, format="%(levelname)s %(name)s: %(message)s", handlers=[handler]
    )
    return handler


def _is_news(record: logging.LogRecord) -> bool:
    is_verbose = logging.getLogger("transforms").isEnabledFor(logging.DEBUG)
    if record.name in _STEP_LOGGERS and not is_verbose:
        return False
    return not record.getMessage().startswith(_HARMLESS)
