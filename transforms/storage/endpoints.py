"""Addresses of servers as people may read them."""

from __future__ import annotations

import re

from transforms.storage.plain_names import one_line

_ENDPOINT = re.compile(r"(https?://)?(.*)", re.IGNORECASE | re.DOTALL)
_END = re.compile(r"[?#]")
_HIDDEN = "***"


def shown_endpoint(url: str) -> str:
    """Return an address without user, password, query and fragment.

    Also of one that is no URL because the password holds what it may not: everything up to the
    last ``@`` is left out. Where that may stand in a query, nothing but the scheme is shown.

    Example:
        >>> shown_endpoint("https://me:p@ss/w@store.example:9000/v1?key=0f3a")
        'https://store.example:9000/v1'
    """
    match = _ENDPOINT.fullmatch(url)
    scheme, rest = (match[1] or "", match[2]) if match else ("", url)
    user, _, place = rest.rpartition("@")
    return one_line(scheme + (_HIDDEN if _END.search(user) else _END.split(place)[0]))
