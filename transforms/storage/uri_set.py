"""Which URIs a listing held, in eight bytes each: millions of them fit beside a run."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable

import numpy as np


class UriSet:
    """A set of URIs by their hashes.

    It never denies a URI that it was made of. One in 10^11 of the others it may take for one of
    them, so that whoever acts on a hit reads the object, and finds that there is none.
    """

    def __init__(self, uris: Iterable[str]) -> None:
        hashes = array("Q")
        hashes.extend(_hash(uri) for uri in uris)
        self._hashes = np.sort(np.frombuffer(hashes, np.uint64)) if hashes else _NONE

    def __contains__(self, uri: str) -> bool:
        """Return whether the URI is in the set, or, hardly ever, one that looks like it."""
        value = np.uint64(_hash(uri))
        index = int(np.searchsorted(self._hashes, value))
        return index < len(self._hashes) and bool(self._hashes[index] == value)

    def __len__(self) -> int:
        return len(self._hashes)


_NONE = np.array([], np.uint64)


def _hash(uri: str) -> int:
    # Names that are no UTF-8 come as surrogates.
    data = uri.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")
