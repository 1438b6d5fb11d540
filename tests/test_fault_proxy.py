"""The proxy that the tests of faults rely on does what its rules say, and nothing else."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from fault_proxy import FaultProxy
from fault_rules import (
    Answer,
    Cut,
    Fault,
    Flip,
    LoseAnswer,
    ResetBefore,
    ResetUpload,
    Rule,
    Stall,
)

BODY = bytes(range(256)) * 400


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers GET with ``BODY`` and notes what is put."""

    protocol_version = "HTTP/1.1"
    put: list[bytes]

    def do_GET(self) -> None:
        self._answer(200, BODY)

    def do_PUT(self) -> None:
        self.put.append(self.rfile.read(int(self.headers["Content-Length"])))
        self._answer(200, b"stored")

    def handle_expect_100(self) -> bool:
        if "X-Refuse" in self.headers:
            self._answer(412, b"")
            return False
        return super().handle_expect_100()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def proxy() -> Iterator[FaultProxy]:
    Handler.put = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        with FaultProxy(server.server_port) as proxy:
            yield proxy
        server.shutdown()


def ask(proxy: FaultProxy, method: str = "GET", body: bytes | None = None) -> tuple[int, bytes]:
    """Send one request; a body that breaks off raises IncompleteRead."""
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=10)
    with contextlib.closing(connection):
        connection.request(method, "/bucket/a%20b?x=1", body, {"Range": "bytes=0-"})
        answer = connection.getresponse()
        return answer.status, answer.read()


def test_without_rules_it_passes_everything_on(proxy: FaultProxy) -> None:
    assert ask(proxy) == (200, BODY)
    assert ask(proxy, "PUT", BODY) == (200, b"stored")
    assert Handler.put == [BODY]
    get, put = proxy.requests
    assert (get.method, get.path, get.query, get.range) == ("GET", "/bucket/a b", "x=1", "bytes=0-")
    assert (get.status, get.num_sent, get.num_received, get.fault) == (200, 0, len(BODY), None)
    assert (put.method, put.num_sent, put.num_received) == ("PUT", len(BODY), 6)


def test_an_answer_of_its_own(proxy: FaultProxy) -> None:
    proxy.add("^PUT /bucket/", Answer(503, b"slow", (("Retry-After", "1"),)))
    assert ask(proxy) == (200, BODY)
    assert ask(proxy, "PUT", b"x") == (503, b"slow")
    assert Handler.put == []
    assert ask(proxy, "PUT", b"x") == (200, b"stored")


def test_a_cut_by_fin_and_by_reset(proxy: FaultProxy) -> None:
    proxy.add("GET", Cut(1000))
    proxy.add("GET", Cut(1000, reset=True))
    with pytest.raises(http.client.IncompleteRead) as cut:
        ask(proxy)
    assert cut.value.partial == BODY[:1000]
    with pytest.raises(ConnectionResetError):
        ask(proxy)
    assert [one.num_received for one in proxy.requests] == [1000, 1000]


def test_a_cut_without_length_looks_whole(proxy: FaultProxy) -> None:
    proxy.add("GET", Cut(1000, hide_length=True))
    assert ask(proxy) == (200, BODY[:1000])


@pytest.mark.parametrize(
    ("fault", "stored"),
    [(ResetBefore(), []), (ResetUpload(10), []), (LoseAnswer(), [BODY])],
)
def test_a_reset_before_during_and_after_an_upload(
    proxy: FaultProxy, fault: Fault, stored: list[bytes]
) -> None:
    proxy.add("PUT", fault)
    with pytest.raises((ConnectionResetError, BrokenPipeError, http.client.RemoteDisconnected)):
        ask(proxy, "PUT", BODY)
    assert Handler.put == stored


def test_one_bit_is_another(proxy: FaultProxy) -> None:
    proxy.add("GET", Flip(300))
    _, body = ask(proxy)
    assert [at for at in range(len(BODY)) if body[at] != BODY[at]] == [300]
    assert body[300] ^ BODY[300] == 1


def test_a_stall_is_silent(proxy: FaultProxy) -> None:
    proxy.add("GET", Stall(1000, 0.5))
    started = time.monotonic()
    with pytest.raises(ConnectionResetError):
        ask(proxy)
    assert time.monotonic() - started > 0.5


def test_a_server_that_refuses_before_the_body_is_heard(proxy: FaultProxy) -> None:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as sock:
        head = "PUT / HTTP/1.1\r\nContent-Length: 5\r\nExpect: 100-continue\r\nX-Refuse: 1\r\n\r\n"
        sock.sendall(head.encode())
        assert sock.recv(100).startswith(b"HTTP/1.1 412")
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as sock:
        sock.sendall(head.replace("X-Refuse", "X-Accept").encode())
        assert sock.recv(100).startswith(b"HTTP/1.1 100 ")
        sock.sendall(b"12345")
        assert sock.recv(100).startswith(b"HTTP/1.1 200")
    assert Handler.put == [b"12345"]


def test_a_server_that_is_down_looks_down() -> None:
    with FaultProxy(1) as before_nobody, pytest.raises(ConnectionResetError):
        ask(before_nobody)


def test_rules_count_skip_and_sprinkle() -> None:
    rule = Rule("^GET", Fault(), count=2, skip=1, every=3)
    assert [rule.takes("GET /") for _ in range(9)] == [number in (1, 4) for number in range(9)]
    assert not rule.takes("PUT /")
    assert rule.done == 2
