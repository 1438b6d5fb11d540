"""How long to wait before a request that failed is sent again."""

from __future__ import annotations

import email.utils
import random
import re
import time

LONGEST_SECONDS = 120.0
_SECONDS = re.compile(r"(\d+(?:\.\d+)?)s?", re.ASCII)


def wait_seconds(attempt: int, *, base_seconds: float, retry_after: str | None = None) -> float:
    """Return the seconds to wait before the next attempt.

    What the server asks for in ``Retry-After`` stands, up to two minutes; else the wait doubles
    with every attempt and is drawn between half and all of that, so that many clients come apart.

    Args:
        attempt: How many attempts have failed, from 1.
        base_seconds: The wait after the first.
        retry_after: The header: seconds, or a date of HTTP; or a duration of Google's APIs such
            as ``1.5s``.
    """
    asked = _asked_seconds(retry_after)
    if asked is not None:
        return min(asked, LONGEST_SECONDS)
    longest: float = min(base_seconds * 2.0 ** (attempt - 1), LONGEST_SECONDS)
    return longest * random.uniform(0.5, 1.0)


def _asked_seconds(header: str | None) -> float | None:
    if not header:
        return None
    seconds = _SECONDS.fullmatch(header.strip())
    if seconds is not None:
        return float(seconds[1])
    try:
        return max(0.0, email.utils.parsedate_to_datetime(header).timestamp() - time.time())
    except ValueError:
        return None
