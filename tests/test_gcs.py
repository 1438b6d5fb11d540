"""What is particular to Google's storage: credentials, generations, large uploads, preflight."""

from __future__ import annotations

import contextlib
import json
import os
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fault_rules import Answer, Cut, Fault, Flip, LoseAnswer, ResetUpload
from make_video import VideoSpec, make_video
from store_faults import gcs_error
from store_servers import GcsServer
from store_worlds import Store, gcs_behind_proxy
from wrong_use import QUICK, Ended, listing, use

from transforms.errors import PreflightError
from transforms.media.probe import probe
from transforms.storage.gcs import GcsStorage
from transforms.storage.interface import StorageError, StoreAwayError
from transforms.storage.open_storage import storage_for

pytestmark = pytest.mark.store
Capture = pytest.CaptureFixture[str]
SECRET = "never-to-be-printed-0f3a9c"
LARGE = random.Random(8).randbytes(20_000_000)
"""Sent in several requests."""


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    with gcs_behind_proxy(patience_seconds=5.0) as store:
        yield store


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_video(tmp_path_factory.mktemp("raw") / "a.mp4", VideoSpec(2.0, (64, 48)))


@contextlib.contextmanager
def no_emulator(monkeypatch: pytest.MonkeyPatch, home: Path) -> Iterator[None]:
    """Have neither an emulator nor credentials, and ask no machine in a cloud for any."""
    with monkeypatch.context() as patched:
        patched.delenv("STORAGE_EMULATOR_HOST", raising=False)
        patched.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
        patched.setenv("HOME", str(home))
        patched.setenv("CLOUDSDK_CONFIG", str(home))
        patched.setenv("NO_GCE_CHECK", "true")
        yield


class TestCredentials:
    def test_without_any_the_cures_are_named(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with (
            no_emulator(monkeypatch, tmp_path),
            pytest.raises(PreflightError, match="needs Google credentials: there are none") as told,
        ):
            GcsStorage().stat("gs://bucket/key")
        assert "GOOGLE_APPLICATION_CREDENTIALS" in str(told.value)
        assert "gcloud auth application-default login" in str(told.value)

    @pytest.mark.parametrize(
        "content",
        [
            None,
            SECRET,
            json.dumps({"type": "service_account", "private_key": SECRET}),
            json.dumps({"type": SECRET, "private_key": SECRET}),
        ],
    )
    def test_a_key_file_that_is_none_is_named_and_not_quoted(
        self, content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
    ) -> None:
        key = tmp_path / "key.json"
        if content is not None:
            key.write_text(content)
        with no_emulator(monkeypatch, tmp_path):
            monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key))
            out = tmp_path / "out"
            paths = ("--input_video_path", "gs://bucket/raw", "--output_clip_path", out)
            ended = use(capsys, "split", *paths, *QUICK)
        assert ended.status == 1
        ended.told(f"GOOGLE_APPLICATION_CREDENTIALS={key}", "gcloud auth")
        assert SECRET not in ended.out + ended.err
        assert not out.exists()


class TestLargeUploads:
    @pytest.mark.parametrize(
        ("match", "fault"),
        [
            ("^POST .*uploadType=resumable", gcs_error(503, "backendError")),
            ("^POST .*uploadType=resumable", LoseAnswer()),
            ("^PUT .*upload_id=", gcs_error(503, "backendError")),
            ("^PUT .*upload_id=", ResetUpload(5_000_000)),
        ],
    )
    def test_what_breaks_is_mended(
        self, match: str, fault: Fault, store: Store, tmp_path: Path
    ) -> None:
        path = tmp_path / "large"
        path.write_bytes(LARGE)
        uri = f"{store.new_root()}/large"
        with store.proxy.rule(match, fault) as rule:
            assert store.new_storage().create_if_absent(uri, path)
        assert rule.done == 1
        assert store.get(uri) == LARGE
        assert not store.new_storage().create_if_absent(uri, path)

    def test_the_address_of_an_upload_is_no_text_of_an_error(
        self, store: Store, tmp_path: Path
    ) -> None:
        uri = f"{store.new_root()}/large"
        refused = gcs_error(403, f"no: https://host/upload?upload_id={SECRET}")
        with store.proxy.rule("upload_id=", refused), pytest.raises(StorageError) as told:
            store.new_storage().write(uri, LARGE)
        assert "HTTP 403 Forbidden no: URL; give this account the role" in str(told.value)
        assert told.value.__suppress_context__
        assert "upload_id" not in str(told.value)


class TestReading:
    def test_the_header_of_a_large_video_takes_few_requests(
        self, store: Store, tmp_path: Path
    ) -> None:
        noise = VideoSpec(seconds=1.5, size=(640, 480), noise=True, keyframe_every=1)
        path = make_video(tmp_path / "a.mp4", noise)
        uri = f"{store.new_root()}/a.mp4"
        store.put(uri, path.read_bytes())
        store.proxy.clear()
        storage = store.new_storage()
        with storage.open_seekable(uri) as file:
            facts = probe(file, name=uri, num_bytes=path.stat().st_size)
        assert facts.display_size == (640, 480)
        seen = store.proxy.requests
        assert path.stat().st_size > 2_000_000
        assert len(seen) <= 3
        assert sum(one.num_received for one in seen) <= 1 << 20

    def test_what_is_packed_on_the_way_is_read_as_it_is_stored(self, store: Store) -> None:
        uri = f"{store.new_root()}/a.json.gz"
        storage = store.new_storage()
        storage.write(uri, b"\x1f\x8b" + b"0123456789" * 10)
        bucket = store.client.bucket(uri.split("/")[2])
        blob = bucket.get_blob("a.json.gz")
        blob.content_encoding = "gzip"
        blob.patch()
        assert storage.read(uri) == b"\x1f\x8b" + b"0123456789" * 10
        assert storage.read_range(uri, 2, 10) == b"0123456789"

    def test_a_cut_range_is_resumed_behind_what_has_come(self, store: Store) -> None:
        uri = f"{store.new_root()}/a"
        store.put(uri, LARGE[:500_000])
        with store.proxy.rule("^GET", Cut(200_000)):
            assert store.new_storage().read_range(uri, 10, 400_000) == LARGE[10:400_010]
            ranges = [one.range for one in store.proxy.requests]
        first = int(ranges[1].removeprefix("bytes=").split("-")[0])
        assert ranges[0] == "bytes=10-400009"
        assert 100_000 <= first <= 200_010

    def test_a_copy_is_resumed_where_it_was_cut(self, store: Store, tmp_path: Path) -> None:
        uri = f"{store.new_root()}/a.mp4"
        store.put(uri, LARGE)
        store.proxy.clear()
        store.proxy.add("^GET /download", Cut(9_000_000), every=2, count=3)
        with store.new_storage().local_file(uri, tmp_path / "scratch") as path:
            assert path.read_bytes() == LARGE
        assert sum(one.num_received for one in store.proxy.requests) < 1.2 * len(LARGE)

    def test_a_copy_is_compared_with_its_checksum(self, store: Store, tmp_path: Path) -> None:
        uri = f"{store.new_root()}/a.mp4"
        store.put(uri, LARGE)
        with (
            store.proxy.rule("^GET /download", Flip(1_000_000)) as rule,
            pytest.raises(StorageError, match="other bytes arrived than are stored"),
            store.new_storage().local_file(uri, tmp_path / "scratch"),
        ):
            pytest.fail("wrong bytes were handed on")
        assert rule.done == 1
        assert list((tmp_path / "scratch").iterdir()) == []

    def test_listings_have_pages(
        self, gcs_server: GcsServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs_server.address)
        root = f"gs://{gcs_server.new_bucket()}/folder"
        storage = storage_for(root)
        uris = [f"{root}/{number:05}" for number in range(1_030)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda uri: storage.write(uri, b""), uris))
        assert [stat.uri for stat in storage.list(root)] == uris


class TestPreflight:
    """Each ends the command within seconds, by name, and leaves nothing."""

    @pytest.fixture(autouse=True)
    def _no_rules(self, store: Store) -> Iterator[None]:
        store.proxy.clear()
        yield
        store.proxy.clear()

    def split(self, capsys: Capture, source: str | Path, target: str | Path) -> Ended:
        return use(
            capsys, "split", "--input_video_path", source, "--output_clip_path", target, *QUICK
        )

    def test_a_bucket_that_is_not_there(
        self, store: Store, video: Path, tmp_path: Path, capsys: Capture
    ) -> None:
        ended = self.split(capsys, "gs://no-such-bucket/raw", tmp_path / "out")
        assert ended.status == 1
        ended.told("input_video_path=gs://no-such-bucket/raw", "there is no bucket no-such-bucket")
        ended = self.split(capsys, video.parent, "gs://no-such-bucket/out")
        assert ended.status == 1
        ended.told("output_clip_path=gs://no-such-bucket/out", "there is no bucket no-such-bucket")
        assert listing(tmp_path) == {}

    @pytest.mark.parametrize(
        ("match", "problem"),
        [
            ("^GET /storage/v1/b/[^/]*/o[?]", "cannot be listed"),
            ("^POST /upload/", "cannot be written to"),
            ("^GET /download/", "what is written there cannot be read"),
            ("^DELETE ", "what is written there cannot be deleted"),
        ],
    )
    def test_a_right_that_is_missing(
        self, match: str, problem: str, store: Store, video: Path, capsys: Capture
    ) -> None:
        root = store.new_root()
        store.proxy.add(match, gcs_error(403, "forbidden"), count=None)
        ended = self.split(capsys, video.parent, f"{root}/out")
        assert ended.status == 1
        bucket = root.partition("://")[2]
        ended.told(
            f"output_clip_path={root}/out",
            problem,
            "HTTP 403 Forbidden forbidden",
            f"role Storage Object User on the bucket {bucket}",
        )
        if "DELETE" not in match:
            assert store.keys(root) == []

    def test_credentials_that_are_refused(self, store: Store, video: Path, capsys: Capture) -> None:
        root = store.new_root()
        store.proxy.add(".", Answer(401), count=None)
        ended = self.split(capsys, video.parent, f"{root}/out")
        assert ended.status == 1
        ended.told("the credentials were refused", "gcloud auth application-default login")

    def test_an_address_where_nobody_listens(
        self, store: Store, video: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
    ) -> None:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")
        ended = self.split(capsys, video.parent, "gs://bucket/out")
        assert ended.status == 1
        ended.told("output_clip_path=gs://bucket/out", "STORAGE_EMULATOR_HOST=http://127.0.0.1:9")

    def test_a_store_that_is_away_is_not_a_missing_object(self, store: Store) -> None:
        uri = f"{store.new_root()}/a"
        store.proxy.add(".", gcs_error(503, "backendError"), count=None)
        with pytest.raises(StoreAwayError, match="HTTP 503 Service Unavailable") as told:
            store.new_storage().exists(uri)
        assert os.environ["STORAGE_EMULATOR_HOST"] in str(told.value)
