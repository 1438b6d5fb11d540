"""Names and files that others wrote: what may stand in a path, and what leads out of a folder."""

from __future__ import annotations

import os
import re

from transforms.storage.uris import is_inside, scheme_of

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_QUERY = re.compile(r"(https?://[^\s?]*)\?\S+", re.IGNORECASE)
MAX_SHOWN = 100
"""Characters of a foreign name that messages show."""


def is_plain_name(name: object) -> bool:
    """Return whether a clip's id may be part of a file name: ASCII, no path, not hidden, not long.

    Example:
        >>> is_plain_name("d14ff621-a274-5cef-93b6-62b8016d6976"), is_plain_name("../../x")
        (True, False)
    """
    return isinstance(name, str) and _PLAIN.fullmatch(name) is not None


def is_plain_path(name: str) -> bool:
    """Return whether a foreign name leads to a file below the folder that it is joined to.

    Example:
        >>> is_plain_path("original/model.pth"), is_plain_path("a/../../b"), is_plain_path("/etc/x")
        (True, False, False)
    """
    parts = name.split("/")
    return name.isprintable() and "\\" not in name and not {"", ".", ".."} & set(parts)


def shown(name: object) -> str:
    """Return a foreign name for a message or a list: short, ASCII, no control characters.

    Example:
        >>> shown("a\\nb")
        'a\\\\nb'
    """
    text = name if isinstance(name, str) else repr(name)
    return text[:MAX_SHOWN].encode("unicode_escape").decode("ascii")


def one_line(text: str) -> str:
    """Return a text for people in which no control character of a name begins a new line.

    Example:
        >>> one_line("a\\n.mp4 failed")
        'a\\\\n.mp4 failed'
    """
    return "".join(
        mark if mark.isprintable() else mark.encode("unicode_escape").decode() for mark in text
    )


def without_queries(text: str) -> str:
    """Return a text whose URLs of the web have no query: that of a signed URL is a secret.

    Example:
        >>> without_queries("GET https://b/in.zip?X-Amz-Signature=0f3a: refused")
        'GET https://b/in.zip?... refused'
    """
    return _QUERY.sub(r"\1?...", text)


def leads_outside(uri: str) -> bool:
    """Return whether a local file is a link to a file that lies outside its folder.

    The folder itself may be a link. Objects in stores cannot be links.
    """
    # One question to the file system for what is no link, however deep its folder lies.
    if scheme_of(uri) or not os.path.islink(uri):
        return False
    return not is_inside(os.path.realpath(uri), os.path.realpath(os.path.dirname(uri)))
