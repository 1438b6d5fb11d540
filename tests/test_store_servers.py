"""The object stores that other tests rely on do what is relied on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from store_servers import (
    LIST,
    OTHER,
    OWNER,
    READ,
    UNKNOWN,
    WRITE,
    WRONG_SECRET,
    Account,
    GcsServer,
    S3Server,
    profiles_file,
    running_s3,
)

pytestmark = pytest.mark.store


def _may(server: S3Server, bucket: str, account: Account) -> set[str]:
    client = server.client(account)
    calls = {
        "read": lambda: client.get_object(Bucket=bucket, Key="a/b"),
        "list": lambda: client.list_objects_v2(Bucket=bucket),
        "write": lambda: client.put_object(Bucket=bucket, Key="a/c", Body=b""),
    }
    return {name for name, call in calls.items() if _status(call) == 200}


def _status(call: Callable[[], Any]) -> int:
    try:
        answer = call()["ResponseMetadata"]
    except ClientError as error:
        answer = error.response["ResponseMetadata"]
    return int(answer["HTTPStatusCode"])


def test_an_account_may_do_what_a_bucket_allows(s3_server: S3Server) -> None:
    bucket = s3_server.new_bucket()
    s3_server.client().put_object(Bucket=bucket, Key="a/b", Body=b"x")
    assert _may(s3_server, bucket, OWNER) == {"read", "list", "write"}
    assert _may(s3_server, bucket, OTHER) == set()
    s3_server.allow(bucket, READ + LIST)
    assert _may(s3_server, bucket, OTHER) == {"read", "list"}
    s3_server.allow(bucket, READ + WRITE)
    assert _may(s3_server, bucket, OTHER) == {"read", "write"}
    assert _may(s3_server, bucket, WRONG_SECRET) == _may(s3_server, bucket, UNKNOWN) == set()
    assert _status(lambda: s3_server.client(UNKNOWN).list_objects_v2(Bucket=bucket)) == 403


def test_objects_outlast_the_server(tmp_path: Path) -> None:
    with running_s3(tmp_path) as server:
        bucket = server.new_bucket()
        etag = server.client().put_object(Bucket=bucket, Key="a/b", Body=b"x")["ETag"]
        server.kill()
        server.start()
        answer = server.client().get_object(Bucket=bucket, Key="a/b")
        assert (answer["Body"].read(), answer["ETag"]) == (b"x", etag)


def test_gcs_holds_objects_and_generations(gcs_server: GcsServer) -> None:
    bucket = gcs_server.client().bucket(gcs_server.new_bucket())
    blob = bucket.blob("a/b")
    blob.upload_from_string(b"x", if_generation_match=0)
    assert bucket.get_blob("a/b").download_as_bytes() == b"x"
    assert [found.name for found in bucket.list_blobs()] == ["a/b"]


def test_a_file_of_profiles_names_each_endpoint(tmp_path: Path) -> None:
    path = profiles_file(
        tmp_path / "creds", {"in": (OTHER, "http://a"), "out": (OWNER, "http://b")}
    )
    assert path.read_text().split("[out]")[1].split() == [
        *("aws_access_key_id", "=", OWNER.key),
        *("aws_secret_access_key", "=", OWNER.secret),
        *("endpoint_url", "=", "http://b"),
        *("region", "=", "us-east-1"),
    ]
