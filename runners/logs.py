"""What goes to standard error: this program's warnings, without what Beam says of itself."""

from __future__ import annotations

import logging
import sys

from transforms.storage.plain_names import one_line, without_queries

_STEP_LOGGERS = (
    "apache_beam.runners.common",
    "apache_beam.runners.worker.sdk_worker",
    "apache_beam.runners.worker.data_plane",
)
"""They log every exception of a step with its traceback, in each process it passes through, and
every broken connection."""
_HARMLESS = (
    # Of RunInference, where torch was imported before it.
    "Resource module is not available",
    # Beam says this at every import without its [gcp] extra.
    "apitools not found",
    # Of local workers, which are handed nothing in a folder.
    "No semi_persistent_directory found",
)
_TELLS_SECRETS = ("urllib3", "requests", "botocore", "boto3", "s3transfer", "google")
"""At debug level they quote signed URLs, headers and credentials."""


class _OneLine(logging.Formatter):
    """Keeps a message on its line: file names in it may hold line breaks."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the message, control characters escaped; a traceback comes behind it."""
        return one_line(super().formatMessage(record))

    def format(self, record: logging.LogRecord) -> str:
        """Return the whole record, also its traceback, without the queries of signed URLs."""
        return without_queries(super().format(record))


def configure_logging(level: int) -> logging.Handler:
    """Send records of at least this level to standard error; return what sends them.

    What Beam says of a failed step is left out, except at debug level: the exception reaches the
    command, which says it once. Libraries that speak to stores say only warnings, at any level: no
    secret may stand in a log. Where logging is configured already, nothing else changes.
    """
    for name in _TELLS_SECRETS:
        logging.getLogger(name).setLevel(logging.WARNING)
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_is_news)
    handler.setFormatter(_OneLine("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level, handlers=[handler])
    return handler


def _is_news(record: logging.LogRecord) -> bool:
    is_verbose = logging.getLogger("transforms").isEnabledFor(logging.DEBUG)
    if record.name in _STEP_LOGGERS and not is_verbose:
        return False
    return not record.getMessage().startswith(_HARMLESS)
