"""Names that a hub or a store says become paths here: none of them leads out of its folder."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hub_server import NEW, Repository, hub_server
from store_servers import OWNER, profiles_file
from wrong_use import use_process

from transforms.errors import PreflightError
from transforms.models.weights import locate_weights

TINY = "tiny/vlm"
BUCKET = "models"


@pytest.mark.parametrize(
    ("commit", "file", "said"),
    [
        (NEW, "../../escaped.json", "../../escaped.json"),
        (NEW, "/tmp/escaped.json", "/tmp/escaped.json"),
        ("..", "config.json", "names .., which"),
    ],
)
def test_a_hub_that_names_paths_outside_gets_nothing_written(
    commit: str, file: str, said: str, tmp_path: Path
) -> None:
    with hub_server() as server:
        files = {"config.json": b"{}", file: b"{}"}
        server.repositories[TINY] = Repository({commit: files}, {"main": commit})
        variables = {"HF_ENDPOINT": server.url, "HF_HOME": str(tmp_path / "home")}
        place = tmp_path / "deep" / "models"
        ended = use_process("models", "pull", TINY, "--model_weights_path", place, env=variables)
    assert ended.status == 1
    ended.told(said, "nothing was pulled: check HF_ENDPOINT")
    assert not list(tmp_path.rglob("*.json"))


@contextlib.contextmanager
def bucket_of(keys: list[str]) -> Iterator[str]:
    """Serve a bucket on loopback: its list has ``keys``, and each object is ``{}``."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            body = _listing(keys) if "list-type=2" in self.path else b"{}"
            self.send_response(200)
            self.send_header("ETag", '"e"')
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _listing(keys: list[str]) -> bytes:
    contents = "".join(
        f"<Contents><Key>{key}</Key><Size>2</Size><ETag>&quot;e&quot;</ETag>"
        "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
        for key in keys
    )
    return (
        '<?xml version="1.0"?><ListBucketResult><Name>models</Name>'
        f"<IsTruncated>false</IsTruncated>{contents}</ListBucketResult>"
    ).encode()


def test_keys_of_a_store_that_lead_outside_are_not_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [f"{TINY}/config.json", f"{TINY}/../../../../escaped.json"]
    with bucket_of(keys) as address:
        credentials = profiles_file(tmp_path / "keys", {"default": (OWNER, address)})
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
        monkeypatch.setenv("BEAM_CURATE_MODELS", str(tmp_path / "deep" / "mirror"))
        with pytest.raises(PreflightError, match=r"would lie outside the model's folder"):
            locate_weights(TINY, model_weights_path=f"s3://{BUCKET}")
    assert not list(tmp_path.rglob("*.json"))
