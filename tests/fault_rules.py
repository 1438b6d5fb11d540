"""What a fault proxy does, to which requests, and what it notes of them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Fault:
    """What happens to a request."""


@dataclass(frozen=True)
class Answer(Fault):
    """The server is never asked; this is the answer."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class ResetBefore(Fault):
    """The connection is reset when the request has come, and the server is never asked."""


@dataclass(frozen=True)
class ResetUpload(Fault):
    """The connection is reset after so many bytes of the request's body."""

    after: int


@dataclass(frozen=True)
class LoseAnswer(Fault):
    """The server does what it was asked to; then the connection is reset."""


@dataclass(frozen=True)
class Late(Fault):
    """The whole answer comes, so long after the request."""

    seconds: float


@dataclass(frozen=True)
class Cut(Fault):
    """So many bytes of the answer's body come, then the connection ends."""

    after: int
    reset: bool = False
    """By RST; else by FIN."""
    hide_length: bool = False
    """Leave out Content-Length: only who knows what to expect notices the cut."""


@dataclass(frozen=True)
class Stall(Fault):
    """So many bytes of the answer's body come, then nothing for so long; then a reset."""

    after: int
    seconds: float


@dataclass(frozen=True)
class Flip(Fault):
    """One bit of this byte of the answer's body is another one."""

    at: int


@dataclass
class Rule:
    """To which requests a fault happens; the first rule that takes a request has it."""

    match: str
    """Regular expression, searched for in ``METHOD /path?query``."""
    fault: Fault
    count: int | None = 1
    """To how many; None: no end."""
    skip: int = 0
    """How many matching requests pass before."""
    every: int = 1
    """Of the matching requests after those, each first of so many."""
    done: int = 0
    """How many it has happened to."""
    _seen: int = field(default=0, repr=False)

    def takes(self, line: str) -> bool:
        """Return whether the fault happens to this request, and count it."""
        if re.search(self.match, line) is None or self.done == self.count:
            return False
        self._seen += 1
        number = self._seen - 1 - self.skip
        takes = number >= 0 and number % self.every == 0
        self.done += takes
        return takes


@dataclass
class Request:
    """One request that came; what is told of its answer is so before the client has any of it."""

    method: str
    path: str
    """Decoded, with the bucket, without the query."""
    query: str
    range: str
    """The header, empty without one."""
    fault: Fault | None
    num_sent: int = 0
    """Bytes of its body."""
    status: int = 0
    """Of the answer that was on its way, 0: none was."""
    num_received: int = 0
    """Bytes of body sent to the client."""
