"""What answers of an S3 store mean: for one object, or for the whole store."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fault_rules import Answer, Late
from store_faults import s3_error
from store_servers import OWNER, S3Server, profiles_file
from store_worlds import Store, gcs_behind_proxy, s3_behind_proxy, split_uri

from transforms.storage.interface import NotFoundError, StorageError, StoreAwayError
from transforms.storage.routes import StorageRoute
from transforms.storage.s3 import S3Storage

pytestmark = pytest.mark.store


@pytest.fixture
def store(s3_server: S3Server, tmp_path: Path) -> Iterator[Store]:
    with s3_behind_proxy(tmp_path, s3_server) as store:
        yield store


@pytest.fixture
def uri(store: Store) -> str:
    uri = f"{store.new_root()}/v.mp4"
    store.put(uri, b"0123456789")
    return uri


class TestHead:
    """Answers to HEAD have no body, and so no code."""

    @pytest.mark.parametrize("status", [400, 403])
    @pytest.mark.parametrize(
        ("code", "cure"),
        [
            ("ExpiredToken", "the session token has expired; get new credentials"),
            ("InvalidAccessKeyId", "the store does not know the access key"),
            ("SignatureDoesNotMatch", "the secret key is wrong"),
        ],
    )
    def test_what_would_be_refused_for_any_object_ends_the_run(
        self, status: int, code: str, cure: str, store: Store, uri: str
    ) -> None:
        store.proxy.add("^HEAD ", Answer(status), count=None)
        store.proxy.add("^GET ", s3_error(status, code), count=None)
        with pytest.raises(StoreAwayError, match=f"HTTP {status} {code}: {cure}"):
            store.new_storage().stat(uri)
        # After HTTP 400 boto3 itself asks for the bucket's region, by a HEAD of its own.
        about = [one for one in store.proxy.requests if one.path.endswith("/v.mp4")]
        assert [(one.method, one.range) for one in about] == [("HEAD", ""), ("GET", "bytes=0-0")]

    def test_a_forbidden_object_is_the_fault_of_one(self, store: Store, uri: str) -> None:
        store.proxy.add("^HEAD ", Answer(403), count=None)
        store.proxy.add("^GET ", s3_error(403, "AccessDenied"), count=None)
        with pytest.raises(StorageError, match="HTTP 403 AccessDenied: the profile may not"):
            store.new_storage().stat(uri)

    def test_400_that_nobody_explains_ends_the_run(self, store: Store, uri: str) -> None:
        store.proxy.add("^HEAD ", Answer(400), count=None)
        with pytest.raises(
            StoreAwayError, match="HeadObject: HTTP 400 400: the store does not say"
        ):
            store.new_storage().stat(uri)

    @pytest.mark.parametrize("key", ["empty", "none"])
    def test_403_stays_where_there_is_no_byte_to_ask_for(
        self, key: str, store: Store, uri: str
    ) -> None:
        root = uri.rpartition("/")[0]
        store.put(f"{root}/empty", b"")
        store.proxy.add("^HEAD ", Answer(403), count=None)
        with pytest.raises(StorageError, match="HeadObject: HTTP 403 403") as told:
            store.new_storage().stat(f"{root}/{key}")
        assert not isinstance(told.value, NotFoundError)


class TestDeleteMany:
    """One answer tells of each object; a busy store refuses some."""

    def refused(self, uri: str, code: str) -> Answer:
        key = split_uri(uri)[1]
        error = f"<Error><Key>{key}</Key><Code>{code}</Code><Message>no</Message></Error>"
        body = f'<?xml version="1.0"?><DeleteResult>{error}</DeleteResult>'
        return Answer(200, body.encode(), (("Content-Type", "application/xml"),))

    def test_a_busy_store_is_left_alone_for_longer_each_time(self, store: Store, uri: str) -> None:
        store.proxy.add("^POST ", self.refused(uri, "SlowDown"), count=2)
        started_at = time.monotonic()
        store.new_storage().delete_many([uri])
        # Half of 0.4 s and half of 0.8 s at the least.
        assert time.monotonic() - started_at > 0.6
        assert len(store.proxy.requests) == 3
        assert store.keys(uri) == []

    @pytest.mark.parametrize(
        ("code", "kind", "cure"),
        [
            ("SlowDown", StoreAwayError, "the store asks for fewer requests"),
            ("InternalError", StoreAwayError, "the store has trouble; run again later"),
            ("AccessDenied", StorageError, "the profile may not do this"),
        ],
    )
    def test_what_stays_refused(
        self, code: str, kind: type[Exception], cure: str, store: Store, uri: str
    ) -> None:
        store.proxy.add("^POST ", self.refused(uri, code), count=None)
        with pytest.raises(kind, match=f"{uri} and 0 others .*: cannot be deleted: {code}: {cure}"):
            store.new_storage().delete_many([uri])
        assert store.keys(uri) == ["v.mp4"]


def test_a_check_waits_for_a_slow_store(s3_server: S3Server, store: Store, tmp_path: Path) -> None:
    uri = f"{store.new_root()}/v.mp4"
    store.put(uri, b"0123456789")
    file = profiles_file(tmp_path / "slow", {"slow": (OWNER, store.proxy.address)})
    storage = S3Storage(StorageRoute("", "slow", str(file)), hasty=True)
    with store.proxy.rule(".", Late(4.0), count=None):
        assert storage.stat(uri).num_bytes == 10
    assert len(store.proxy.requests) == 1


class TestSilentGoogle:
    @pytest.fixture
    def google(self) -> Iterator[Store]:
        with gcs_behind_proxy(patience_seconds=1.0) as store:
            yield store

    @pytest.mark.parametrize("operation", ["read", "read_range", "stat", "write"])
    def test_no_attempt_lasts_longer_than_the_patience(self, operation: str, google: Store) -> None:
        uri = f"{google.new_root()}/a"
        google.put(uri, b"0123456789")
        storage = google.new_storage()
        operations = {
            "read": lambda: storage.read(uri),
            "read_range": lambda: storage.read_range(uri, 0, 5),
            "stat": lambda: storage.stat(uri),
            "write": lambda: storage.write(uri, b"x"),
        }
        started_at = time.monotonic()
        with (
            google.proxy.rule(".", Late(20.0), count=None),
            pytest.raises(StoreAwayError, match="the connection failed"),
        ):
            operations[operation]()
        # Two attempts of a second each, the wait between them, and a busy machine.
        assert time.monotonic() - started_at < 10
