"""An HTTP proxy before one server, in a thread: it answers, cuts, flips and loses by rules.

Each request goes over connections of its own. Bodies are held in memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
import urllib.parse
from collections.abc import Iterator

from fault_rules import (
    Answer,
    Cut,
    Fault,
    Flip,
    LoseAnswer,
    Request,
    ResetBefore,
    ResetUpload,
    Rule,
    Stall,
)
from store_servers import free_port

_GRACE_SECONDS = 0.05
"""Before a reset, so that the bytes sent before it arrive: a reset overtakes them."""


class FaultProxy:
    """The proxy; ``with FaultProxy(port) as proxy``.

    Args:
        upstream: Port of the server on this machine, which may be down at times.
        port: Where to listen; 0: anywhere.
    """

    def __init__(self, upstream: int, *, port: int = 0) -> None:
        self.port = port or free_port()
        self.requests: list[Request] = []
        """In the order in which they were done with."""
        self._upstream = upstream
        self._rules: list[Rule] = []
        self._lock = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def address(self) -> str:
        """Its URL."""
        return f"http://127.0.0.1:{self.port}"

    def add(self, match: str, fault: Fault, **how: int | None) -> Rule:
        """Add a rule behind the others: see ``Rule``."""
        rule = Rule(match, fault, **how)
        with self._lock:
            self._rules.append(rule)
        return rule

    def clear(self) -> None:
        """Forget rules and requests."""
        with self._lock:
            self._rules.clear()
            self.requests.clear()

    @contextlib.contextmanager
    def rule(self, match: str, fault: Fault, **how: int | None) -> Iterator[Rule]:
        """Have only this rule, and a new list of requests, while the context is open."""
        self.clear()
        yield self.add(match, fault, **how)
        with self._lock:
            self._rules.clear()

    def __enter__(self) -> FaultProxy:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def _close(self) -> None:
        self._server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = _Connection(reader, writer)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await self._exchange(client)
        finally:
            writer.close()

    async def _exchange(self, client: _Connection) -> None:
        head = await client.reader.readuntil(b"\r\n\r\n")
        line = head.split(b"\r\n", 1)[0].decode("latin-1").rpartition(" ")[0]
        with self._lock:
            fault = next((rule.fault for rule in self._rules if rule.takes(line)), None)
        body = b""
        try:
            if isinstance(fault, ResetUpload):
                body = await client.body(head, most=fault.after)
                await client.reset()
                return
            body = await client.body(head)
            await self._answer(client, head, body, fault)
        finally:
            self._note(head, line, len(body), client, fault)

    async def _answer(
        self, client: _Connection, head: bytes, body: bytes, fault: Fault | None
    ) -> None:
        if isinstance(fault, ResetBefore):
            await client.reset()
        elif isinstance(fault, Answer):
            await client.send(_head(fault), fault.body)
        else:
            answer = await self._ask(head, body)
            if answer is None or isinstance(fault, LoseAnswer):
                await client.reset()
            else:
                await client.send_broken(*answer, fault)

    async def _ask(self, head: bytes, body: bytes) -> tuple[bytes, bytes] | None:
        """Return head and raw body of the server's answer, None: it is down."""
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._upstream)
        except OSError:
            return None
        try:
            # The store must not wait for a body that has come already; and one request is all.
            lines = [one for one in head.split(b"\r\n")[:-2] if not _is(one, b"expect")]
            lines = [one for one in lines if not _is(one, b"connection")]
            writer.write(b"\r\n".join([*lines, b"Connection: close", b"", b""]) + body)
            answer_head, end, answer_body = (await reader.read(-1)).partition(b"\r\n\r\n")
            return (answer_head + end, answer_body) if end else None
        except OSError:
            return None
        finally:
            writer.close()

    def _note(
        self, head: bytes, line: str, num_sent: int, client: _Connection, fault: Fault | None
    ) -> None:
        method, _, target = line.partition(" ")
        path, _, query = target.partition("?")
        with self._lock:
            self.requests.append(
                Request(
                    method=method,
                    path=urllib.parse.unquote(path),
                    query=query,
                    range=_header(head, b"range"),
                    num_sent=num_sent,
                    status=client.status,
                    num_received=client.num_sent,
                    fault=fault,
                )
            )


class _Connection:
    """The client's side."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self._writer = writer
        self.status = 0
        self.num_sent = 0

    async def body(self, head: bytes, *, most: int | None = None) -> bytes:
        """Return the request's body as it stands on the wire, or its first bytes."""
        if _header(head, b"expect").lower() == "100-continue":
            self._writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if _header(head, b"transfer-encoding").lower() == "chunked":
            return (await self._chunks())[:most]
        num_bytes = int(_header(head, b"content-length") or 0)
        return await self.reader.readexactly(num_bytes if most is None else min(most, num_bytes))

    async def _chunks(self) -> bytes:
        parts = []
        while True:
            size = await self.reader.readuntil(b"\r\n")
            parts.append(size)
            num_bytes = int(size.split(b";")[0], 16)
            if num_bytes == 0:
                break
            parts.append(await self.reader.readexactly(num_bytes + 2))
        while parts[-1] != b"\r\n":
            parts.append(await self.reader.readuntil(b"\r\n"))
        return b"".join(parts)

    async def send(self, head: bytes, body: bytes) -> None:
        """Send an answer, or the beginning of one."""
        self.status = int(head.split(b" ", 2)[1])
        self._writer.write(head + body)
        self.num_sent += len(body)
        await self._writer.drain()

    async def send_broken(self, head: bytes, body: bytes, fault: Fault | None) -> None:
        """Send the server's answer with what the fault does to it."""
        if isinstance(fault, Flip):
            at = min(fault.at, len(body) - 1)
            body = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :] if body else body
        if isinstance(fault, Cut) and fault.hide_length:
            lines = [one for one in head.split(b"\r\n") if not _is(one, b"content-length")]
            head = b"\r\n".join(lines)
        if not isinstance(fault, (Cut, Stall)):
            await self.send(head, body)
            return
        await self.send(head, body[: fault.after])
        if isinstance(fault, Stall):
            # Until the client gives up, at the longest.
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self.reader.read(1), fault.seconds)
        if isinstance(fault, Stall) or fault.reset:
            await self.reset()

    async def reset(self) -> None:
        """End the connection by RST."""
        await asyncio.sleep(_GRACE_SECONDS)
        sock = self._writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()


def _head(answer: Answer) -> bytes:
    lines = [
        f"HTTP/1.1 {answer.status} Fault",
        *(f"{key}: {value}" for key, value in answer.headers),
    ]
    lines += [f"Content-Length: {len(answer.body)}", "Connection: close", "", ""]
    return "\r\n".join(lines).encode("latin-1")


def _is(line: bytes, name: bytes) -> bool:
    return line.lower().startswith(name + b":")


def _header(head: bytes, name: bytes) -> str:
    found = [line for line in head.split(b"\r\n") if _is(line, name)]
    return found[0].partition(b":")[2].strip().decode("latin-1") if found else ""
