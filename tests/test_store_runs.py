"""``curate`` with input and output in stores gives what a local run gives, whatever happens."""

from __future__ import annotations

from pathlib import Path

import pytest
from store_runs import RAW_NAMES, Places, local_trees, make_raw, stored_trees
from store_servers import (
    LIST,
    OTHER,
    OWNER,
    READ,
    S3Server,
    profiles_file,
)

pytestmark = pytest.mark.store

ID_ROOT = "s3://source-of-ids/raw"


@pytest.fixture(scope="session")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_raw(tmp_path_factory.mktemp("store_raw") / "raw")


@pytest.fixture(scope="session")
def whole(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the trees of a local run whose ids are those of ``ID_ROOT``."""
    folder = tmp_path_factory.mktemp("store_local")
    places = Places(str(raw), str(folder / "out"), folder / "scratch")
    ended = places.curate("--id_root", ID_ROOT)
    assert ended.status == 0, ended.err
    return local_trees(places)


@pytest.fixture
def s3_places(raw: Path, tmp_path: Path, s3_server: S3Server) -> Places:
    """Return places in two buckets of two accounts, with the videos in the first one."""
    reads, writes = s3_server.new_bucket(), s3_server.new_bucket()
    client = s3_server.client()
    for name in RAW_NAMES:
        client.upload_file(str(raw / name), reads, f"raw/{name}")
    s3_server.allow(reads, READ + LIST)
    file = profiles_file(
        tmp_path / "creds",
        {"reader": (OTHER, s3_server.address), "writer": (OWNER, s3_server.address)},
    )
    return Places(
        f"s3://{reads}/raw",
        f"s3://{writes}/runs",
        tmp_path / "scratch",
        {"COSMOS_S3_PROFILE_PATH": str(file)},
        ("--input_s3_profile_name", "reader", "--output_s3_profile_name", "writer"),
    )


def s3_objects(server: S3Server, places: Places) -> dict[str, bytes]:
    """Return key below the places' root to content, of all objects in the bucket."""
    bucket, _, prefix = places.root.removeprefix("s3://").partition("/")
    client = server.client()
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    keys = [found["Key"] for page in pages for found in page.get("Contents", ())]
    assert all(key.startswith(f"{prefix}/") for key in keys)
    return {
        key.removeprefix(f"{prefix}/"): client.get_object(Bucket=bucket, Key=key)["Body"].read()
        for key in keys
    }


def test_s3_gives_the_bytes_of_a_local_run(
    s3_server: S3Server, s3_places: Places, whole: dict[str, str], tmp_path: Path
) -> None:
    ended = s3_places.curate("--id_root", ID_ROOT)
    assert ended.status == 0, ended.err
    assert stored_trees(s3_places, s3_objects(s3_server, s3_places), tmp_path / "got") == whole
