"""Archives over HTTP: fetched whole whatever breaks, sent whole, and no signature is ever said."""

from __future__ import annotations

import io
import os
import random
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from archive_server import SIGNATURE, ArchiveServer, running_archives
from fault_proxy import FaultProxy
from fault_rules import Answer, Cut, LoseAnswer, ResetBefore, ResetUpload

from transforms.archives import download as download_module
from transforms.archives import send as send_module
from transforms.archives import transfer
from transforms.archives.download import download
from transforms.archives.pack import Tree, pack
from transforms.archives.presigned_url import check_url, expires_at, shown_url
from transforms.archives.send import PART_BYTES, send, send_parts
from transforms.errors import PreflightError, UsageError
from transforms.storage.interface import StorageError

DATA = random.Random(7).randbytes(3_000_000)


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "PAUSE_SECONDS", 0.02)


@pytest.fixture
def archives() -> Iterator[ArchiveServer]:
    with running_archives() as server:
        yield server


@pytest.fixture
def proxy(archives: ArchiveServer) -> Iterator[FaultProxy]:
    with FaultProxy(archives.port) as proxy:
        yield proxy


def problem(error: pytest.ExceptionInfo[BaseException]) -> str:
    """Return what an error says, in which no signature may stand, nor in what it is chained to."""
    shown: BaseException | None = error.value
    while shown is not None:
        assert SIGNATURE not in f"{shown}{shown!r}"
        shown = shown.__cause__ or (None if shown.__suppress_context__ else shown.__context__)
    return str(error.value)


class TestUrl:
    def test_only_scheme_host_and_path_are_shown(self) -> None:
        url = f"https://user:pass@host:8443/a%20b/c.zip?X-Amz-Signature={SIGNATURE}#frag"
        assert shown_url(url) == "https://host:8443/a%20b/c.zip"

    @pytest.mark.parametrize(
        ("query", "when"),
        [
            ("X-Amz-Date=20260101T000000Z&X-Amz-Expires=60&X-Amz-Signature=1", 1767225660.0),
            ("X-Goog-Date=20260101T000000Z&X-Goog-Expires=60", 1767225660.0),
            ("AWSAccessKeyId=a&Expires=1767225660&Signature=1", 1767225660.0),
            ("X-Amz-Date=20260101&X-Amz-Expires=60", None),
            ("X-Amz-Date=20260101T000000Z", None),
            ("Expires=never", None),
            ("", None),
        ],
    )
    def test_when_it_expires(self, query: str, when: float | None) -> None:
        assert expires_at(f"https://bucket/key?{query}") == when

    def test_one_that_has_expired_is_refused_at_once(self) -> None:
        url = f"https://b/in.zip?X-Amz-Date=20260101T000000Z&X-Amz-Expires=60&s={SIGNATURE}"
        check_url(url, name="input_presigned_s3_url", now=1767225659)
        with pytest.raises(PreflightError, match="expired at 2026-01-01 00:01:00 UTC") as error:
            check_url(url, name="input_presigned_s3_url", now=1767225660)
        assert "input_presigned_s3_url=https://b/in.zip: expired" in problem(error)

    @pytest.mark.parametrize(
        "url", ["file:///etc/passwd", "ftp://host/a", "/a/b.zip", "https://", "http://[", SIGNATURE]
    )
    def test_what_is_no_address_of_the_web_is_refused(self, url: str) -> None:
        with pytest.raises(UsageError, match="must be a URL") as error:
            check_url(url, name="input_presigned_s3_url")
        assert "passwd" not in problem(error)


class TestDownload:
    def test_bytes_arrive_as_they_are(self, archives: ArchiveServer, tmp_path: Path) -> None:
        archives.objects["/in.zip"] = DATA
        assert download(archives.url("/in.zip"), tmp_path / "a", what="in") == len(DATA)
        assert (tmp_path / "a").read_bytes() == DATA
        archives.tells_length = False
        assert download(archives.url("/in.zip"), tmp_path / "a", what="in") == len(DATA)
        archives.objects["/in.zip"] = b""
        assert download(archives.url("/in.zip"), tmp_path / "a", what="in") == 0
        assert (tmp_path / "a").read_bytes() == b""

    def test_credentials_of_this_machine_stay_here(
        self, archives: ArchiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "netrc").write_text("default login me password pw\n")
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        archives.objects["/in.zip"] = DATA
        assert download(archives.url("/in.zip"), tmp_path / "a", what="in") == len(DATA)

    @pytest.mark.parametrize("reset", [True, False])
    def test_a_cut_is_resumed_where_it_was(
        self, reset: bool, archives: ArchiveServer, proxy: FaultProxy, tmp_path: Path
    ) -> None:
        archives.objects["/in.zip"] = DATA
        proxy.add(r"^GET", Cut(1_000_000, reset=reset), count=5)
        url = archives.url("/in.zip", port=proxy.port)
        assert download(url, tmp_path / "a", what="in") == len(DATA)
        assert (tmp_path / "a").read_bytes() == DATA
        starts = [int(one.split("=")[1].rstrip("-")) for one in archives.seen if "=" in one]
        assert starts == sorted(set(starts))
        assert 2 <= len(starts) <= 5
        assert starts[0] >= 900_000

    def test_without_versions_it_begins_anew(
        self, archives: ArchiveServer, proxy: FaultProxy, tmp_path: Path
    ) -> None:
        archives.has_versions = False
        archives.objects["/in.zip"] = DATA
        proxy.add(r"^GET", Cut(1_000_000), count=2)
        url = archives.url("/in.zip", port=proxy.port)
        assert download(url, tmp_path / "a", what="in") == len(DATA)
        assert (tmp_path / "a").read_bytes() == DATA

    def test_another_version_is_never_mixed_in(
        self, archives: ArchiveServer, proxy: FaultProxy, tmp_path: Path
    ) -> None:
        archives.objects["/in.zip"] = DATA
        rule = proxy.add(r"^GET", Cut(1_000_000), count=1)
        other = DATA[::-1]

        class Replacing(dict[str, bytes]):
            """The object is replaced after the first request for it."""

            def __getitem__(self, key: str) -> bytes:
                return other if len(archives.seen) > 1 else DATA

        archives.objects = Replacing(archives.objects)
        url = archives.url("/in.zip", port=proxy.port)
        assert download(url, tmp_path / "a", what="in") == len(DATA)
        assert (tmp_path / "a").read_bytes() == other
        assert rule is not None

    def test_a_busy_store_is_asked_again(
        self, archives: ArchiveServer, proxy: FaultProxy, tmp_path: Path
    ) -> None:
        archives.objects["/in.zip"] = DATA
        proxy.add(r"^GET", Answer(503), count=1)
        proxy.add(r"^GET", ResetBefore(), count=1)
        url = archives.url("/in.zip", port=proxy.port)
        assert download(url, tmp_path / "a", what="in") == len(DATA)

    def test_what_always_breaks_ends_after_three_attempts(
        self, archives: ArchiveServer, proxy: FaultProxy, tmp_path: Path
    ) -> None:
        archives.has_versions = False
        archives.objects["/in.zip"] = DATA
        proxy.add(r"^GET", Cut(1_000_000), count=None)
        url = archives.url("/in.zip", port=proxy.port)
        with pytest.raises(StorageError, match="3 times") as error:
            download(url, tmp_path / "a", what="input_presigned_s3_url")
        assert f"http://127.0.0.1:{proxy.port}/in.zip: " in problem(error)
        assert len(archives.seen) <= 4

    @pytest.mark.parametrize(
        ("path", "signature", "why"),
        [
            ("/in.zip", f"{SIGNATURE}x", "HTTP 403 SignatureDoesNotMatch: the URL was changed"),
            ("/no.zip", SIGNATURE, "HTTP 404 NoSuchKey: there is no such object"),
        ],
    )
    def test_refusals_are_named(
        self, path: str, signature: str, why: str, archives: ArchiveServer, tmp_path: Path
    ) -> None:
        archives.objects["/in.zip"] = DATA
        with pytest.raises(StorageError) as error:
            download(archives.url(path, signature=signature), tmp_path / "a", what="in")
        assert why in problem(error)
        assert len(archives.seen) == 1, "what is refused is not asked again"

    @pytest.mark.parametrize("tells_length", [True, False])
    def test_no_more_is_taken_than_allowed(
        self, tells_length: bool, archives: ArchiveServer, tmp_path: Path
    ) -> None:
        archives.tells_length = tells_length
        archives.objects["/in.zip"] = DATA
        with pytest.raises(StorageError, match="more than 2000000 bytes") as error:
            download(archives.url("/in.zip"), tmp_path / "a", what="in", max_bytes=2_000_000)
        problem(error)
        there = (tmp_path / "a").stat().st_size if (tmp_path / "a").exists() else 0
        assert there <= 2_000_000

    def test_an_address_where_nobody_listens(self, tmp_path: Path) -> None:
        with running_archives() as gone:
            url = gone.url("/in.zip")
        with pytest.raises(StorageError, match="the connection broke") as error:
            download(url, tmp_path / "a", what="in")
        problem(error)


def test_sizes_and_times_are_those_of_the_service() -> None:
    # Contract §6.6.
    assert PART_BYTES == 4_500_000_000
    assert (download_module.TIMEOUT_SECONDS, send_module.TIMEOUT_SECONDS) == (60, 3600)
    assert transfer.ATTEMPTS == 3


class TestSend:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        path = tmp_path / "out.zip"
        path.write_bytes(DATA)
        return path

    def test_at_once(self, archives: ArchiveServer, path: Path) -> None:
        send(path, archives.url("/out.zip"), what="out")
        assert archives.objects == {"/out.zip": DATA}

    def test_in_parts_of_which_the_last_is_shorter(
        self, archives: ArchiveServer, path: Path
    ) -> None:
        urls = [archives.url(f"/{number}") for number in range(5)]
        assert send_parts(path, urls, what="out", part_bytes=900_000) == 4
        sizes = [len(archives.objects[f"/{number}"]) for number in range(4)]
        assert sizes == [900_000, 900_000, 900_000, 300_000]
        assert b"".join(archives.objects[f"/{number}"] for number in range(4)) == DATA
        assert "/4" not in archives.objects

    def test_too_few_parts_are_told_before_anything_is_sent(
        self, archives: ArchiveServer, path: Path
    ) -> None:
        urls = [archives.url(f"/{number}") for number in range(3)]
        with pytest.raises(StorageError, match=r"needs 4 parts .* URLs for 3") as error:
            send_parts(path, urls, what="out", part_bytes=900_000)
        problem(error)
        assert archives.seen == []

    def test_what_breaks_is_sent_again_whole(
        self, archives: ArchiveServer, proxy: FaultProxy, path: Path
    ) -> None:
        faults = [Answer(503), ResetBefore(), ResetUpload(500_000), LoseAnswer()]
        for number, fault in enumerate(faults):
            with proxy.rule(r"^PUT", fault, count=1):
                send(path, archives.url(f"/{number}", port=proxy.port), what="out")
            assert archives.objects[f"/{number}"] == DATA

    def test_a_refusal_is_named_and_not_tried_again(
        self, archives: ArchiveServer, path: Path
    ) -> None:
        with pytest.raises(StorageError, match="HTTP 403") as error:
            send(path, archives.url("/out.zip", signature=SIGNATURE + "x"), what="out")
        assert "out=http://127.0.0.1" in problem(error)
        assert len(archives.seen) <= 3

    def test_it_ends_after_three_attempts(
        self, archives: ArchiveServer, proxy: FaultProxy, path: Path
    ) -> None:
        rule = proxy.add(r"^PUT", Answer(500), count=None)
        with pytest.raises(StorageError, match="HTTP 500, 3 times") as error:
            send(path, archives.url("/out.zip", port=proxy.port), what="out")
        problem(error)
        assert rule.done == 3


class TestPack:
    def test_the_same_tree_gives_the_same_bytes(self, tmp_path: Path) -> None:
        files = {"b/c.mp4": b"1" * 5000, "a.json": b"{}", "ü/e": b"", "a-c": b"2"}
        for number, root in enumerate((tmp_path / "one", tmp_path / "two")):
            for rel in sorted(files, reverse=bool(number)):
                (root / rel).parent.mkdir(parents=True, exist_ok=True)
                (root / rel).write_bytes(files[rel])
                os.utime(root / rel, (number, number))
                (root / rel).chmod(0o600 + 0o44 * number)
            (root / ".work").mkdir()
            (root / ".work" / "lease.json").write_text("{}")
            dataset = Tree(str(root), "webdataset/")
            assert pack([Tree(str(root)), dataset], tmp_path / f"{number}.zip") == 8
        one, two = ((tmp_path / f"{number}.zip").read_bytes() for number in range(2))
        assert one == two
        with zipfile.ZipFile(io.BytesIO(one)) as archive:
            assert archive.testzip() is None
            names = archive.namelist()
            assert names == sorted([*files, *(f"webdataset/{rel}" for rel in files)])
            assert {name: archive.read(name) for name in files} == files

    def test_an_archive_that_cannot_be_written_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(StorageError, match="the archive of the output cannot be written"):
            pack([Tree(str(tmp_path))], tmp_path / "missing" / "a.zip")
