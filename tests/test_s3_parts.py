"""Large files go to S3 in parts; what is no S3 is told apart."""

from __future__ import annotations

from pathlib import Path

import pytest
from fault_rules import Answer, Fault, LoseAnswer, ResetUpload
from store_faults import SLOW_DOWN, s3_error
from store_servers import S3Server
from store_worlds import s3_behind_proxy, split_uri

from transforms.storage import s3_upload
from transforms.storage.interface import StorageError

pytestmark = pytest.mark.store

CONTENT = bytes(range(256)) * 44_000

PART_FAULTS: dict[str, tuple[str, Fault]] = {
    "busy at the beginning": (r"^POST .*\?uploads", SLOW_DOWN),
    "busy at a part": (r"^PUT .*partNumber=2", SLOW_DOWN),
    "reset in a part": (r"^PUT .*partNumber=2", ResetUpload(100_000)),
    "part's answer lost": (r"^PUT .*partNumber=1", LoseAnswer()),
    "busy at the end": (r"^POST .*uploadId=", SLOW_DOWN),
    "end's answer lost": (r"^POST .*uploadId=", LoseAnswer()),
}


@pytest.mark.parametrize("conditional", [False, True], ids=["write", "create"])
@pytest.mark.parametrize("fault", PART_FAULTS)
def test_an_upload_in_parts_stores_the_whole_file(
    s3_server: S3Server,
    fault: str,
    conditional: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(s3_upload, "PUT_BYTES", 6 << 20)
    monkeypatch.setattr(s3_upload, "PART_BYTES", 5 << 20)
    (tmp_path / "file").write_bytes(CONTENT)
    with s3_behind_proxy(tmp_path, s3_server) as store:
        storage, uri = store.new_storage(), f"{store.new_root()}/a"
        with store.proxy.rule(*PART_FAULTS[fault]) as rule:
            if conditional:
                assert storage.create_if_absent(uri, tmp_path / "file")
                assert not storage.create_if_absent(uri, tmp_path / "file")
            else:
                storage.write(uri, tmp_path / "file")
        assert rule.done == 1
        assert store.get(uri) == CONTENT
        uploads = store.client.list_multipart_uploads(Bucket=split_uri(uri)[0])
        assert uploads.get("Uploads", []) == []


NO_UPLOAD = s3_error(404, "NoSuchUpload")


@pytest.mark.parametrize("conditional", [False, True], ids=["write", "create"])
def test_an_end_whose_answer_was_lost_is_no_failure_where_the_upload_is_forgotten(
    s3_server: S3Server, conditional: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_upload, "PUT_BYTES", 6 << 20)
    (tmp_path / "file").write_bytes(CONTENT)
    with s3_behind_proxy(tmp_path, s3_server) as store:
        storage, uri = store.new_storage(), f"{store.new_root()}/a"
        lost = store.proxy.add(r"^POST .*uploadId=", LoseAnswer())
        forgotten = store.proxy.add(r"^POST .*uploadId=", NO_UPLOAD)
        if conditional:
            assert storage.create_if_absent(uri, tmp_path / "file")
        else:
            storage.write(uri, tmp_path / "file")
        assert (lost.done, forgotten.done) == (1, 1)
        assert store.get(uri) == CONTENT


@pytest.mark.parametrize("other", [None, b"another writer's"], ids=["none", "another's"])
def test_an_upload_that_is_gone_has_stored_nothing(
    s3_server: S3Server, other: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_upload, "PUT_BYTES", 6 << 20)
    (tmp_path / "file").write_bytes(CONTENT)
    with s3_behind_proxy(tmp_path, s3_server) as store:
        storage, uri = store.new_storage(), f"{store.new_root()}/a"
        if other is not None:
            store.put(uri, other)
        with (
            store.proxy.rule(r"^POST .*uploadId=", NO_UPLOAD),
            pytest.raises(StorageError, match="CompleteMultipartUpload: HTTP 404 NoSuchUpload"),
        ):
            storage.write(uri, tmp_path / "file")
        assert store.keys(uri) == ([] if other is None else ["a"])
        assert other is None or store.get(uri) == other


def test_what_is_no_store_holds_not_nothing_but_is_refused(
    s3_server: S3Server, tmp_path: Path
) -> None:
    with s3_behind_proxy(tmp_path, s3_server) as store:
        storage, root = store.new_storage(), store.new_root()
        page = Answer(200, b"<html>log in to the hotel network</html>")
        with store.proxy.rule(".", page, count=None):
            with pytest.raises(StorageError, match="no IsTruncated"):
                list(storage.list(root))
            with pytest.raises(StorageError, match="no ETag"):
                storage.stat(f"{root}/a")
            with pytest.raises(StorageError, match="no ETag"):
                storage.read(f"{root}/a")
