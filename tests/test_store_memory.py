"""Large objects go through in parts: memory stays bounded, conditions hold, nothing is left."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fault_proxy import FaultProxy
from fault_rules import Answer, LoseAnswer
from store_servers import OWNER, S3Server, profiles_file
from wrong_use import environment

from transforms.storage import s3_upload
from transforms.storage.interface import StorageError
from transforms.storage.open_storage import storage_for

pytestmark = pytest.mark.store

MIB = 1 << 20
MEASURE = """
import hashlib, json, pathlib, resource, sys
from transforms.storage.open_storage import storage_for

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

uri, source, scratch = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
storage = storage_for(uri)
# What the client itself takes is no matter here.
storage.write(uri + ".small", b"x")
storage.read(uri + ".small")
before = peak()
storage.write(uri, source)
written = peak()
with storage.local_file(uri, scratch) as path:
    assert path.stat().st_size == source.stat().st_size
downloaded = peak()
digest = hashlib.sha256()
with storage.open_seekable(uri) as file:
    while block := file.read(1 << 20):
        digest.update(block)
print(json.dumps([written - before, downloaded - before, peak() - before, digest.hexdigest()]))
"""


@pytest.fixture
def proxy(
    s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FaultProxy]:
    with FaultProxy(s3_server.port) as proxy:
        file = profiles_file(tmp_path / "profiles", {"default": (OWNER, proxy.address)})
        monkeypatch.setenv("COSMOS_S3_PROFILE_PATH", str(file))
        monkeypatch.setattr(s3_upload, "PUT_BYTES", 5 * MIB)
        monkeypatch.setattr(s3_upload, "PART_BYTES", 5 * MIB)
        yield proxy


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """Return a file of three parts."""
    path = tmp_path / "large"
    path.write_bytes(os.urandom(12 * MIB))
    return path


def unfinished(client: Any, bucket: str) -> list[str]:
    return [one["Key"] for one in client.list_multipart_uploads(Bucket=bucket).get("Uploads", ())]


def test_memory_does_not_grow_with_the_object(s3_server: S3Server, tmp_path: Path) -> None:
    file = profiles_file(tmp_path / "profiles", {"default": (OWNER, s3_server.address)})
    source, digest = tmp_path / "source", hashlib.sha256()
    with source.open("wb") as target:
        for _ in range(256):
            block = os.urandom(MIB)
            digest.update(block)
            target.write(block)
    uri = f"s3://{s3_server.new_bucket()}/big.tar"
    told = subprocess.run(
        [sys.executable, "-c", MEASURE, uri, str(source), str(tmp_path / "scratch")],
        env=environment({"COSMOS_S3_PROFILE_PATH": str(file)}),
        capture_output=True,
        text=True,
        check=True,
    )
    *grown, read = json.loads(told.stdout)
    assert read == digest.hexdigest()
    # A part of 32 MiB, once more while it is sent.
    assert max(grown) < 100, grown


def test_conditions_hold_for_uploads_in_parts(
    proxy: FaultProxy, s3_server: S3Server, large: Path
) -> None:
    bucket = s3_server.new_bucket()
    uri, storage = f"s3://{bucket}/large", storage_for(f"s3://{bucket}")
    assert storage.create_if_absent(uri, large)
    assert sum(one.method == "PUT" for one in proxy.requests) == 3
    assert not storage.create_if_absent(uri, large)
    assert storage.read(uri) == large.read_bytes()
    assert unfinished(s3_server.client(), bucket) == []


def test_the_answer_to_the_last_request_may_be_lost(
    proxy: FaultProxy, s3_server: S3Server, large: Path
) -> None:
    bucket = s3_server.new_bucket()
    uri, storage = f"s3://{bucket}/large", storage_for(f"s3://{bucket}")
    with proxy.rule(r"POST /\S+uploadId=", LoseAnswer()) as rule:
        assert storage.create_if_absent(uri, large), "it is its own object that it meets"
        assert rule.done == 1
    assert storage.read(uri) == large.read_bytes()


def test_an_upload_that_fails_leaves_nothing(
    proxy: FaultProxy, s3_server: S3Server, large: Path
) -> None:
    bucket = s3_server.new_bucket()
    uri, storage = f"s3://{bucket}/large", storage_for(f"s3://{bucket}")
    refusal = Answer(403, b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>")
    with (
        proxy.rule("partNumber=3", refusal),
        pytest.raises(StorageError, match="UploadPart: HTTP 403 AccessDenied"),
    ):
        storage.write(uri, large)
    assert unfinished(s3_server.client(), bucket) == []
    assert not storage.exists(uri)
