"""Presigned URLs that a real store checks: made by boto3, signatures of the fourth version."""

from __future__ import annotations

import io
import random
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from make_video import VideoSpec, make_video
from store_servers import S3Server
from wrong_use import QUICK, use

from transforms.archives.download import download
from transforms.archives.send import send, send_parts
from transforms.storage.interface import StorageError

pytestmark = pytest.mark.store
DATA = random.Random(9).randbytes(11_000_000)
PART_BYTES = 5 << 20
"""The smallest part that stores take, but for the last."""


@pytest.fixture
def bucket(s3_server: S3Server) -> str:
    return s3_server.new_bucket()


def presigned(server: S3Server, method: str, *, seconds: int = 300, **where: Any) -> str:
    return str(server.client().generate_presigned_url(method, Params=where, ExpiresIn=seconds))


def test_a_run_from_and_to_signed_archives(
    s3_server: S3Server, bucket: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = make_video(tmp_path / "a.mp4", VideoSpec(seconds=2, size=(64, 48)))
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.write(video, "top/a.mp4")
    client = s3_server.client()
    client.put_object(Bucket=bucket, Key="in.zip", Body=content.getvalue())
    source = presigned(s3_server, "get_object", Bucket=bucket, Key="in.zip")
    target = presigned(s3_server, "put_object", Bucket=bucket, Key="out.zip")
    urls = ("--input_presigned_s3_url", source, "--output_presigned_s3_url", target)
    ended = use(capsys, "split", *urls, *QUICK)
    assert ended.status == 0, ended.err
    sent = client.get_object(Bucket=bucket, Key="out.zip")["Body"].read()
    with zipfile.ZipFile(io.BytesIO(sent)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        said = ended.out + ended.err + "".join(map(str, map(archive.read, names)))
    assert sum(name.endswith(".mp4") for name in names) == 2
    assert "X-Amz-" not in said


def test_parts_become_one_object_when_the_upload_is_completed(
    s3_server: S3Server, bucket: str, tmp_path: Path
) -> None:
    path = tmp_path / "out.zip"
    path.write_bytes(DATA)
    client = s3_server.client()
    upload = {"Bucket": bucket, "Key": "out.zip"}
    upload["UploadId"] = client.create_multipart_upload(**upload)["UploadId"]
    urls = [
        presigned(s3_server, "upload_part", **upload, PartNumber=number) for number in range(1, 6)
    ]
    assert send_parts(path, urls, what="out", part_bytes=PART_BYTES) == 3
    # What whoever made the URLs does then; the run cannot: it has no URL for it.
    parts = client.list_parts(**upload)["Parts"]
    named = [{"PartNumber": part["PartNumber"], "ETag": part["ETag"]} for part in parts]
    client.complete_multipart_upload(**upload, MultipartUpload={"Parts": named})
    assert client.get_object(Bucket=bucket, Key="out.zip")["Body"].read() == DATA


def test_refusals_of_the_store_are_named(s3_server: S3Server, bucket: str, tmp_path: Path) -> None:
    s3_server.client().put_object(Bucket=bucket, Key="in.zip", Body=DATA)
    path = tmp_path / "out.zip"
    path.write_bytes(DATA)
    short = presigned(s3_server, "get_object", Bucket=bucket, Key="in.zip", seconds=1)
    good = presigned(s3_server, "get_object", Bucket=bucket, Key="in.zip")
    missing = presigned(s3_server, "get_object", Bucket=bucket, Key="none.zip")
    tampered = good[:-1] + ("0" if good[-1] != "0" else "1")
    time.sleep(2.1)
    cases = {
        short: "expired",
        tampered: "HTTP 403 SignatureDoesNotMatch: the URL was changed",
        good.split("?")[0]: "HTTP 403",
        missing: "HTTP 404 NoSuchKey",
    }
    for url, why in cases.items():
        with pytest.raises(StorageError, match=why) as told:
            download(url, tmp_path / "in.zip", what="input_presigned_s3_url")
        assert "X-Amz" not in str(told.value)
    # The body is larger than what the connection holds: the refusal comes while it is sent.
    with pytest.raises(StorageError, match="HTTP 403 SignatureDoesNotMatch") as told:
        send(path, good, what="output_presigned_s3_url")
    assert "X-Amz" not in str(told.value)
    assert download(good, tmp_path / "in.zip", what="in") == len(DATA)
    assert (tmp_path / "in.zip").read_bytes() == DATA
