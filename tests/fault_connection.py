"""The two sides of a fault proxy: to the client, whole or broken, and to the server."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import urllib.parse

from fault_rules import Answer, Cut, Fault, Flip, Request, Stall

_GRACE_SECONDS = 0.05
"""Before a reset, so that the bytes sent before it arrive: a reset overtakes them."""


class ClientConnection:
    """The client's side of one request, whose head has been read."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes
    ) -> None:
        self.head = head
        self.line = head.split(b"\r\n", 1)[0].decode("latin-1").rpartition(" ")[0]
        """Method and target."""
        method, _, target = self.line.partition(" ")
        path, _, query = target.partition("?")
        path = urllib.parse.unquote(path)
        self.request = Request(method, path, query, self.header(b"range"), None)
        self._reader = reader
        self._writer = writer

    @property
    def waits(self) -> bool:
        """Whether the client sends its body only when it is told to."""
        return self.header(b"expect").lower() == "100-continue"

    def header(self, name: bytes) -> str:
        """Return a header of the request, empty without one."""
        return header(self.head, name)

    async def body(self, *, most: int | None = None) -> bytes:
        """Return the request's body as it stands on the wire, or its first bytes."""
        if self.waits:
            self._writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if self.header(b"transfer-encoding").lower() == "chunked":
            body = (await self._chunks())[:most]
        else:
            num_bytes = int(self.header(b"content-length") or 0)
            body = await self._reader.readexactly(min(num_bytes, most or num_bytes))
        self.request.num_sent = len(body)
        return body

    async def _chunks(self) -> bytes:
        parts = []
        while True:
            size = await self._reader.readuntil(b"\r\n")
            parts.append(size)
            num_bytes = int(size.split(b";")[0], 16)
            if num_bytes == 0:
                break
            parts.append(await self._reader.readexactly(num_bytes + 2))
        while parts[-1] != b"\r\n":
            parts.append(await self._reader.readuntil(b"\r\n"))
        return b"".join(parts)

    async def send(self, head: bytes, body: bytes) -> None:
        """Send an answer, or the beginning of one."""
        self.request.status = int(head.split(b" ", 2)[1])
        self.request.num_received += len(body)
        self._writer.write(head + body)
        await self._writer.drain()

    async def send_broken(self, head: bytes, body: bytes, fault: Fault | None) -> None:
        """Send the server's answer with what the fault does to it."""
        if isinstance(fault, Flip):
            at = min(fault.at, len(body) - 1)
            body = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :] if body else body
        if isinstance(fault, Cut) and fault.hide_length:
            lines = [one for one in head.split(b"\r\n") if not is_header(one, b"content-length")]
            head = b"\r\n".join(lines)
        if not isinstance(fault, (Cut, Stall)):
            await self.send(head, body)
            return
        await self.send(head, body[: fault.after])
        if isinstance(fault, Stall):
            # Until the client gives up, at the longest.
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._reader.read(1), fault.seconds)
        if isinstance(fault, Stall) or fault.reset:
            await self.reset()

    async def reset(self) -> None:
        """End the connection by RST."""
        await asyncio.sleep(_GRACE_SECONDS)
        sock = self._writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()


class ServerConnection:
    """The server's side of one request.

    Not a stream of asyncio's, which loses an answer that a server sends before it resets.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._got = b""

    async def connect(self, port: int) -> None:
        """Connect to the server on this machine."""
        await self._loop.sock_connect(self._sock, ("127.0.0.1", port))

    async def send(self, data: bytes) -> None:
        """Send; a server that has heard enough has said why before it closed."""
        with contextlib.suppress(ConnectionError):
            await self._loop.sock_sendall(self._sock, data)

    async def head(self) -> bytes:
        """Return the first head that comes, with the empty line; what came of it at the end."""
        while b"\r\n\r\n" not in self._got and await self._receive():
            pass
        head, end, self._got = self._got.partition(b"\r\n\r\n")
        return head + end

    async def rest(self) -> bytes:
        """Return all that comes till the server closes."""
        while await self._receive():
            pass
        return self._got

    async def _receive(self) -> bool:
        try:
            data = await self._loop.sock_recv(self._sock, 1 << 18)
        except ConnectionResetError:
            return False
        self._got += data
        return bool(data)


def answer_head(answer: Answer) -> bytes:
    """Return the head of an answer, with the empty line."""
    lines = [
        f"HTTP/1.1 {answer.status} Fault",
        *(f"{key}: {value}" for key, value in answer.headers),
    ]
    lines += [f"Content-Length: {len(answer.body)}", "Connection: close", "", ""]
    return "\r\n".join(lines).encode("latin-1")


def is_header(line: bytes, name: bytes) -> bool:
    """Return whether a line of a head is this header."""
    return line.lower().startswith(name + b":")


def header(head: bytes, name: bytes) -> str:
    """Return the value of a header, empty without one."""
    found = [line for line in head.split(b"\r\n") if is_header(line, name)]
    return found[0].partition(b":")[2].strip().decode("latin-1") if found else ""
