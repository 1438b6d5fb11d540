"""The one comparer of output trees: roots become tokens, exempt files and fields are left out."""

from __future__ import annotations

import fnmatch
import hashlib
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

from same_bytes import EXEMPT_FAILURE_FIELDS, EXEMPT_PATTERNS, EXEMPT_SUMMARY_FIELDS

TEXT_SUFFIXES = {".json", ".jsonl", ".csv", ".txt"}


def tree(folder: Path, roots: Mapping[str, Path | str]) -> dict[str, str]:
    """Return relative path to sha256 of every file below ``folder`` that must not differ.

    Args:
        folder: Output or dataset root.
        roots: Token to path or URI; every mention of it in a text file becomes the token.
    """
    hashes = {}
    for path in sorted(folder.rglob("*")):
        rel = path.relative_to(folder).as_posix()
        if path.is_file() and not _exempt(rel):
            hashes[rel] = hashlib.sha256(_content(path, rel, roots)).hexdigest()
    return hashes


def _exempt(rel: str) -> bool:
    return any(fnmatch.fnmatch(rel, pattern) for pattern in EXEMPT_PATTERNS)


def _content(path: Path, rel: str, roots: Mapping[str, Path | str]) -> bytes:
    if path.suffix == ".tar":
        return _tar_content(path, roots)
    content = path.read_bytes()
    if path.suffix not in TEXT_SUFFIXES:
        return content
    if rel == "summary.json":
        content = _without(content, EXEMPT_SUMMARY_FIELDS)
    if rel.startswith("failures/"):
        content = _without(content, EXEMPT_FAILURE_FIELDS)
    if path.name == "wdinfo.json":
        roots = {token: _key(str(root)) for token, root in roots.items()}
    return _tokens(content, roots)


def _key(root: str) -> str:
    """Return a root as wdinfo.json tells it: of a URI without scheme and bucket."""
    _, scheme, rest = root.partition("://")
    return rest.partition("/")[2] if scheme else root


def _tar_content(path: Path, roots: Mapping[str, Path | str]) -> bytes:
    """Return every header field and body; roots have other lengths, so bodies and sizes change."""
    parts = []
    with tarfile.open(path) as tar:
        for member in tar.getmembers():
            file = tar.extractfile(member)
            assert file is not None
            body = file.read()
            if member.name.endswith(".json"):
                body = _tokens(body, roots)
            header = (member.name, member.mode, member.uid, member.gid, member.mtime, member.type)
            parts.append(repr(header).encode() + hashlib.sha256(body).digest())
    return b"".join(parts)


def _without(content: bytes, fields: tuple[str, ...]) -> bytes:
    values = json.loads(content)
    return json.dumps({key: values[key] for key in values if key not in fields}).encode()


def _tokens(content: bytes, roots: Mapping[str, Path | str]) -> bytes:
    for token, root in sorted(roots.items(), key=lambda item: -len(str(item[1]))):
        content = content.replace(str(root).encode(), token.encode())
    return content
