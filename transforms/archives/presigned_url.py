"""Presigned URLs: whoever has one may read or write, so their query is never shown.

Query parameters of the signature: Amazon's V4 (``X-Amz-Date``, ``X-Amz-Expires``) and V2
(``Expires``), Google's V4 (``X-Goog-Date``, ``X-Goog-Expires``).
"""

from __future__ import annotations

import calendar
import time
from urllib.parse import SplitResult, parse_qs, urlsplit

from transforms.errors import PreflightError, UsageError
from transforms.storage.plain_names import one_line

_DATE_FORMAT = "%Y%m%dT%H%M%SZ"


def shown_url(url: str) -> str:
    """Return the part of a URL that is no secret: scheme, host and path.

    Example:
        >>> shown_url("https://me:pw@bucket.s3.amazonaws.com/in.zip?X-Amz-Signature=0f3a")
        'https://bucket.s3.amazonaws.com/in.zip'
    """
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return one_line(f"{parts.scheme}://{host}{parts.path}")


def check_url(url: str, *, name: str, now: float | None = None) -> None:
    """Raise when a URL cannot work; nothing is fetched.

    Args:
        url: A presigned URL.
        name: The option that gave it.
        now: The time, in seconds since 1970; None: this machine's.

    Raises:
        UsageError: It is no URL of the web.
        PreflightError: It says of itself that it has expired.
    """
    if not _is_web_address(url):
        # Nothing of it is shown: who knows what it is.
        raise UsageError(f"{name}: must be a URL that begins with https:// or http://")
    ends_at = expires_at(url)
    if ends_at is not None and ends_at <= (time.time() if now is None else now):
        ended = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(ends_at))
        raise PreflightError(f"{name}={shown_url(url)}: expired at {ended}; make a new URL")


def expires_at(url: str) -> float | None:
    """Return when a URL expires, in seconds since 1970; None when it does not say so.

    Example:
        >>> expires_at("https://b/k?X-Amz-Date=19700101T000100Z&X-Amz-Expires=30")
        90.0
    """
    query = {name.lower(): values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    try:
        for vendor in ("amz", "goog"):
            if f"x-{vendor}-date" in query:
                began = time.strptime(query[f"x-{vendor}-date"], _DATE_FORMAT)
                return calendar.timegm(began) + float(query[f"x-{vendor}-expires"])
        return float(query["expires"])
    except (KeyError, ValueError):
        return None


def _is_web_address(url: str) -> bool:
    try:
        parts: SplitResult = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False
