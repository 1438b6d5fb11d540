"""Joining and comparing URIs; a local path is a URI without a scheme."""

from __future__ import annotations

import os
import re

_SCHEME = re.compile(r"^([a-z][a-z0-9+.-]*)://", re.IGNORECASE)


def scheme_of(uri: str) -> str:
    """Return ``s3``, ``gs``, ... or an empty string for a local path."""
    match = _SCHEME.match(uri)
    return match.group(1).lower() if match else ""


def absolute(uri: str) -> str:
    """Return a local path made absolute without resolving symlinks; other URIs less end slash."""
    if scheme_of(uri):
        return uri.rstrip("/")
    return os.path.abspath(os.path.expanduser(uri))


def join(root: str, *parts: str) -> str:
    """Return ``root`` and ``parts`` joined by single slashes."""
    return "/".join([root.rstrip("/"), *(part.strip("/") for part in parts)])


def relative(uri: str, root: str) -> str:
    """Return the path of ``uri`` below ``root``, or ``uri`` unchanged when it lies elsewhere.

    Example:
        >>> relative("s3://bucket/raw/a/b.mp4", "s3://bucket/raw/")
        'a/b.mp4'
    """
    prefix = root.rstrip("/") + "/"
    return uri[len(prefix) :] if uri.startswith(prefix) else uri


def is_inside(uri: str, root: str) -> bool:
    """Return whether ``uri`` is ``root`` or lies below it, compared component by component.

    Example:
        >>> is_inside("/a/bc", "/a/b"), is_inside("/a/b/c", "/a/b")
        (False, True)
    """
    return (uri.rstrip("/") + "/").startswith(root.rstrip("/") + "/")


def bucket_and_key(uri: str) -> tuple[str, str]:
    """Return the bucket and the key of ``s3://bucket/key`` or ``gs://bucket/key``.

    Example:
        >>> bucket_and_key("s3://clips/a//b c.mp4"), bucket_and_key("gs://clips")
        (('clips', 'a//b c.mp4'), ('clips', ''))
    """
    bucket, _, key = uri.partition("://")[2].partition("/")
    return bucket, key
