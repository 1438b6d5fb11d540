"""An HTTP proxy before one server, in a thread: it answers, cuts, flips and loses by rules.

Each request goes over connections of its own. Bodies are held in memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator

from fault_connection import ClientConnection, ServerConnection, answer_head, is_header
from fault_rules import Answer, Fault, Late, LoseAnswer, Request, ResetBefore, ResetUpload, Rule
from store_servers import free_port


class FaultProxy:
    """The proxy; ``with FaultProxy(port) as proxy``.

    Args:
        upstream: Port of the server on this machine, which may be down at times.
        port: Where to listen; 0: anywhere.
    """

    def __init__(self, upstream: int, *, port: int = 0) -> None:
        self.port = port or free_port()
        self.requests: list[Request] = []
        """In the order in which they came."""
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
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                head = await reader.readuntil(b"\r\n\r\n")
                await self._exchange(ClientConnection(reader, writer, head))
        finally:
            writer.close()

    async def _exchange(self, client: ClientConnection) -> None:
        with self._lock:
            fault = next((rule.fault for rule in self._rules if rule.takes(client.line)), None)
            client.request.fault = fault
            self.requests.append(client.request)
        if isinstance(fault, ResetUpload):
            await client.body(most=fault.after)
            await client.reset()
        elif isinstance(fault, ResetBefore):
            await client.reset()
        elif isinstance(fault, Answer):
            if not client.waits:
                await client.body()
            await client.send(answer_head(fault), fault.body)
        else:
            await self._pass_on(client, fault)

    async def _pass_on(self, client: ClientConnection, fault: Fault | None) -> None:
        answer = await self._ask(client)
        if isinstance(fault, Late):
            await asyncio.sleep(fault.seconds)
        if answer is None or isinstance(fault, LoseAnswer):
            await client.reset()
        else:
            await client.send_broken(*answer, fault)

    async def _ask(self, client: ClientConnection) -> tuple[bytes, bytes] | None:
        """Return head and raw body of the server's answer, None: it is down."""
        lines = client.head.split(b"\r\n")[:-2]
        lines = [one for one in lines if not is_header(one, b"connection")]
        with socket.socket() as sock:
            server = ServerConnection(sock)
            try:
                await server.connect(self._upstream)
                # One request is all.
                await server.send(b"\r\n".join([*lines, b"Connection: close", b"", b""]))
                refused = await server.head() if client.waits else b""
                # A server may refuse before it has the body; then it must not be sent.
                if not refused or refused.split(b" ", 2)[1] == b"100":
                    refused = b""
                    await server.send(await client.body())
                head, end, body = (refused + await server.rest()).partition(b"\r\n\r\n")
            except ConnectionError:
                return None
        return (head + end, body) if end else None
