"""A source in a store is fetched once for everything that is done with it at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from fault_proxy import FaultProxy
from store_servers import OWNER, S3Server, profiles_file

from transforms.clips.source_copies import MAX_IDLE, drop_idle, local_source
from transforms.storage.interface import NotFoundError

pytestmark = pytest.mark.store


@pytest.fixture
def proxy(
    s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FaultProxy]:
    with FaultProxy(s3_server.port) as proxy:
        file = profiles_file(tmp_path / "profiles", {"default": (OWNER, proxy.address)})
        monkeypatch.setenv("COSMOS_S3_PROFILE_PATH", str(file))
        yield proxy
    drop_idle()


@pytest.fixture
def bucket(s3_server: S3Server) -> str:
    name = s3_server.new_bucket()
    for key in "abcd":
        s3_server.client().put_object(Bucket=name, Key=f"{key}.mp4", Body=key.encode() * 100_000)
    return f"s3://{name}"


def gets(proxy: FaultProxy) -> list[str]:
    return [one.path.rsplit("/", 1)[1] for one in proxy.requests if one.method == "GET"]


def test_users_at_the_same_time_share_one(proxy: FaultProxy, bucket: str, tmp_path: Path) -> None:
    paths: list[Path] = []
    barrier = threading.Barrier(6)

    def use() -> None:
        barrier.wait()
        with local_source(f"{bucket}/a.mp4", tmp_path / "scratch") as path:
            assert path.read_bytes() == b"a" * 100_000
            paths.append(path)

    threads = [threading.Thread(target=use) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(paths) == 6
    assert len(set(paths)) == 1
    assert gets(proxy) == ["a.mp4"]


def test_it_waits_for_the_next_user_until_others_have_come(
    proxy: FaultProxy, bucket: str, tmp_path: Path
) -> None:
    for key in ("a", "a", "b", "a", "c", "d", "a"):
        with local_source(f"{bucket}/{key}.mp4", tmp_path / "scratch") as path:
            assert path.read_bytes() == key.encode() * 100_000
            assert len(list((tmp_path / "scratch").iterdir())) <= MAX_IDLE + 1
    assert gets(proxy) == ["a.mp4", "b.mp4", "c.mp4", "d.mp4", "a.mp4"]
    assert len(list((tmp_path / "scratch").iterdir())) == MAX_IDLE
    assert drop_idle() == MAX_IDLE
    assert list((tmp_path / "scratch").iterdir()) == []


def test_one_whose_folder_is_gone_is_fetched_again(
    proxy: FaultProxy, bucket: str, tmp_path: Path
) -> None:
    with local_source(f"{bucket}/a.mp4", tmp_path / "scratch") as path:
        pass
    path.unlink()
    with local_source(f"{bucket}/a.mp4", tmp_path / "scratch") as path:
        assert path.read_bytes() == b"a" * 100_000
    assert gets(proxy) == ["a.mp4", "a.mp4"]


def test_one_that_cannot_be_fetched_is_not_remembered(
    proxy: FaultProxy, bucket: str, s3_server: S3Server, tmp_path: Path
) -> None:
    uri = f"{bucket}/late.mp4"
    for _ in range(2):
        with pytest.raises(NotFoundError), local_source(uri, tmp_path / "scratch"):
            pytest.fail("there is none")
    s3_server.client().put_object(Bucket=bucket[5:], Key="late.mp4", Body=b"x")
    with local_source(uri, tmp_path / "scratch") as path:
        assert path.read_bytes() == b"x"
    assert drop_idle() == 1


def test_a_local_file_is_used_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "v.mp4").write_bytes(b"x")
    with local_source(str(tmp_path / "v.mp4"), tmp_path / "scratch") as path:
        assert path == tmp_path / "v.mp4"
    assert not (tmp_path / "scratch").exists()
    assert drop_idle() == 0
