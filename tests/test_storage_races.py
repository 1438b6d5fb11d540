"""Stores under faults that last, and writers at the same moment: one wins, and nothing is mixed."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fault_rules import Fault, Flip, LoseAnswer, ResetBefore
from store_faults import GCS_UNAVAILABLE, SLOW_DOWN, gcs_error, s3_error
from store_servers import S3Server
from store_worlds import KINDS, Store, gcs_behind_proxy, s3_behind_proxy, split_uri

from transforms.storage import s3_client
from transforms.storage.gcs import GcsStorage
from transforms.storage.interface import StorageError, StoreAwayError

pytestmark = pytest.mark.store

CONTENT = random.Random(8).randbytes(700_000)
WRITES = r"^(PUT|POST) "
NUM_WRITERS = 6
NUM_ROUNDS = 2
PATIENCE_SECONDS = 3.0
"""Of a store that stays away; racing writers get more."""
BOUND_SECONDS = 40.0


@pytest.fixture(scope="module", params=KINDS)
def store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Store]:
    with contextlib.ExitStack() as stack:
        if request.param == "s3":
            server: S3Server = request.getfixturevalue("s3_server")
            world = s3_behind_proxy(tmp_path_factory.mktemp("races"), server)
        else:
            world = gcs_behind_proxy()
        yield stack.enter_context(world)


@pytest.fixture(autouse=True)
def _no_rules(store: Store) -> Iterator[None]:
    yield
    store.proxy.clear()


def _at_once(work: Callable[[int], bool]) -> list[int]:
    """Return the numbers of the writers that were told that they have won."""
    with ThreadPoolExecutor(NUM_WRITERS) as pool:
        return [number for number, won in enumerate(pool.map(work, range(NUM_WRITERS))) if won]


def test_of_creators_whose_answers_are_lost_one_wins(store: Store) -> None:
    storage, root = store.new_storage(), store.new_root()
    store.proxy.add(WRITES, LoseAnswer(), count=None, every=2)
    for number in range(NUM_ROUNDS):
        uri = f"{root}/{number}"
        won = _at_once(lambda writer: storage.create_if_absent(uri, bytes([writer]) * 1000))  # noqa: B023
        assert [bytes([writer]) * 1000 for writer in won] == [store.get(uri)]


def test_of_replacers_whose_answers_are_lost_one_wins(store: Store) -> None:
    storage, root = store.new_storage(), store.new_root()
    uri = f"{root}/a"
    store.put(uri, b"first")
    store.proxy.add(WRITES, LoseAnswer(), count=None, every=2)
    for _ in range(NUM_ROUNDS):
        version = storage.stat(uri).version
        own = [random.randbytes(1000) for _ in range(NUM_WRITERS)]
        won = _at_once(lambda writer: storage.replace_if(uri, own[writer], version))  # noqa: B023
        assert [own[writer] for writer in won] == [store.get(uri)]


def test_a_flipped_bit_is_noticed(store: Store, tmp_path: Path) -> None:
    storage, uri = store.new_storage(), f"{store.new_root()}/a"
    store.put(uri, CONTENT)
    download = "^GET " if store.kind == "s3" else "alt=media"
    # S3 is asked again; Google's client refuses what it got.
    refusal = (
        contextlib.nullcontext()
        if store.kind == "s3"
        else pytest.raises(StorageError, match=r"checksum|other bytes")
    )
    with store.proxy.rule(download, Flip(1000)) as rule, refusal:
        assert storage.read(uri) == CONTENT
    assert rule.done == 1
    with (
        store.proxy.rule(download, Flip(1000)),
        refusal,
        storage.local_file(uri, tmp_path) as path,
    ):
        assert path.read_bytes() == CONTENT
    with store.proxy.rule(download, Flip(1000), count=None), pytest.raises(StorageError):
        storage.read(uri)


def test_a_file_is_never_of_two_versions(store: Store) -> None:
    storage, uri = store.new_storage(), f"{store.new_root()}/a"
    store.put(uri, CONTENT)
    with storage.open_seekable(uri) as file:
        assert file.read(1000) == CONTENT[:1000]
        store.put(uri, bytes(len(CONTENT)))
        file.seek(500_000)
        with pytest.raises(StorageError, match="was replaced"):
            file.read(1000)


def _uses(store: Store, uri: str, tmp_path: Path) -> dict[str, Callable[[], object]]:
    with pytest.MonkeyPatch.context() as patience:
        patience.setattr(s3_client, "MAX_ATTEMPTS", 4)
        storage = store.new_storage() if store.kind == "s3" else GcsStorage(PATIENCE_SECONDS)
        # The client is made when it is needed.
        storage.exists(uri)
    version = storage.stat(uri).version
    return {
        "read": lambda: storage.read(uri),
        "read_range": lambda: storage.read_range(uri, 5, 10),
        "open_seekable": lambda: storage.open_seekable(uri),
        "stat": lambda: storage.stat(uri),
        "exists": lambda: storage.exists(uri),
        "list": lambda: list(storage.list(uri.rpartition("/")[0])),
        "local_file": lambda: storage.local_file(uri, tmp_path).__enter__(),
        "write": lambda: storage.write(uri, b"x"),
        "create_if_absent": lambda: storage.create_if_absent(uri + "2", b"x"),
        "replace_if": lambda: storage.replace_if(uri, b"x", version),
        "delete": lambda: storage.delete(uri),
        "delete_many": lambda: storage.delete_many([uri]),
    }


def _check_all_raise(
    store: Store, tmp_path: Path, fault: Fault, kinds: tuple[type[Exception], ...]
) -> None:
    uri = f"{store.new_root()}/folder/a"
    bucket = split_uri(uri)[0]
    store.put(uri, CONTENT)
    uses = _uses(store, uri, tmp_path)

    def outcome(use: Callable[[], object]) -> str:
        started = time.monotonic()
        try:
            result = use()
        except kinds as error:
            seconds = time.monotonic() - started
            return "raised" if bucket in str(error) and seconds < BOUND_SECONDS else repr(error)
        return f"gave {result!r}"

    with store.proxy.rule(f"/{bucket}[/?]", fault, count=None), ThreadPoolExecutor(4) as pool:
        found = dict(zip(uses, pool.map(outcome, uses.values()), strict=True))
    assert found == dict.fromkeys(uses, "raised")
    assert store.keys(f"{uri.partition('://')[0]}://{bucket}") == ["folder/a"]
    assert store.get(uri) == CONTENT


@pytest.mark.parametrize("how", ["busy", "gone"])
def test_a_store_that_stays_away_is_told(store: Store, how: str, tmp_path: Path) -> None:
    busy = SLOW_DOWN if store.kind == "s3" else GCS_UNAVAILABLE
    fault = busy if how == "busy" else ResetBefore()
    _check_all_raise(store, tmp_path, fault, (StoreAwayError,))


def test_a_refusal_is_told_and_is_no_missing_object(store: Store, tmp_path: Path) -> None:
    refusal = s3_error(403, "AccessDenied") if store.kind == "s3" else gcs_error(403, "forbidden")
    _check_all_raise(store, tmp_path, refusal, (StorageError, StoreAwayError))
