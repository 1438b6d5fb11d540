"""What object stores and networks do to requests, for both kinds of store."""

from __future__ import annotations

import json

from fault_rules import Answer


def s3_error(status: int, code: str, *, more: str = "") -> Answer:
    """Return an answer of S3 that refuses.

    Args:
        status: HTTP status.
        code: S3's code, for example ``SlowDown``.
        more: Elements of XML beside the code.
    """
    body = f"<Error><Code>{code}</Code><Message>{code}</Message>{more}</Error>".encode()
    return Answer(status, body, (("Content-Type", "application/xml"),))


def gcs_error(status: int, reason: str) -> Answer:
    """Return an answer of Google's storage that refuses."""
    error = {"code": status, "message": reason, "errors": [{"reason": reason, "message": reason}]}
    body = json.dumps({"error": error}).encode()
    return Answer(status, body, (("Content-Type", "application/json"),))


SLOW_DOWN = s3_error(503, "SlowDown")
INTERNAL = s3_error(500, "InternalError")
TOO_MANY = Answer(429, b"", (("Retry-After", "0"),))
GCS_UNAVAILABLE = gcs_error(503, "backendError")
GCS_TOO_MANY = gcs_error(429, "rateLimitExceeded")
