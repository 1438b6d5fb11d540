"""``curate`` with input and output in stores gives what a local run gives, whatever happens."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fault_rules import Cut, Fault, LoseAnswer, ResetBefore, ResetUpload, Stall
from kill_harness import MULTI
from store_faults import GCS_TOO_MANY, GCS_UNAVAILABLE, INTERNAL, SLOW_DOWN, TOO_MANY
from store_runs import RAW_NAMES, Places, local_trees, make_raw, stored_trees
from store_servers import LIST, OTHER, OWNER, READ, S3Server, profiles_file, running_s3
from store_worlds import KINDS, Store, gcs_behind_proxy, s3_behind_proxy

from transforms.faults import FAULT_VARIABLE

pytestmark = pytest.mark.store

ID_ROOT = "s3://source-of-ids/raw"
SESSION_TOKEN = "sessiontoken-never-to-be-printed"
REFUSED_SECONDS = 30.0
"""From a second run's start, most of it on a busy machine, till it says who holds the output."""
DYING_SECONDS = 150.0
"""Till a run whose store is gone has ended; it tries for about half a minute before."""
READS, WRITES = r"^(GET|HEAD) ", r"^(PUT|POST) "


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
    trees = local_trees(places)
    assert sum(".mp4" in rel for rel in trees) >= 7
    return trees


@pytest.fixture(scope="module", params=KINDS)
def store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Store]:
    with contextlib.ExitStack() as stack:
        if request.param == "s3":
            server: S3Server = request.getfixturevalue("s3_server")
            world = s3_behind_proxy(tmp_path_factory.mktemp("store_runs"), server)
        else:
            world = gcs_behind_proxy()
        yield stack.enter_context(world)


def new_places(store: Store, raw: Path, folder: Path) -> Places:
    """Put the videos into a bucket and return places of a run that goes through the proxy."""
    source = store.new_root()
    for name in RAW_NAMES:
        store.put(f"{source}/raw/{name}", (raw / name).read_bytes())
    return Places(
        f"{source}/raw",
        f"{store.new_root()}/runs",
        folder / "scratch",
        store.variables(folder),
        ("--id_root", ID_ROOT),
    )


def num_metas(store: Store, places: Places) -> int:
    """Return how many clips are committed."""
    return sum("/metas/v0/" in key for key in store.keys(places.root))


def whole_metas(whole: dict[str, str]) -> list[str]:
    """Return the metadata files of a whole run."""
    return [rel for rel in whole if "/metas/v0/" in rel]


def check_whole(store: Store, places: Places, whole: dict[str, str], folder: Path) -> None:
    """Assert that output and dataset are complete, true and the bytes of the local run."""
    objects = store.objects(places.root)
    found = stored_trees(places, objects, folder / "got")
    assert {rel for rel in whole.keys() | found if whole.get(rel) != found.get(rel)} == set()


def test_a_run_from_and_to_a_store_gives_the_bytes_of_a_local_one(
    store: Store, raw: Path, whole: dict[str, str], tmp_path: Path
) -> None:
    places = new_places(store, raw, tmp_path)
    ended = places.curate()
    assert ended.status == 0, ended.err
    check_whole(store, places, whole, tmp_path)
    before = store.keys(places.root)
    assert "nothing was left to do" in places.curate().out
    assert store.keys(places.root) == before


def test_input_and_output_of_different_accounts_and_no_secret_anywhere(
    s3_server: S3Server, raw: Path, whole: dict[str, str], tmp_path: Path
) -> None:
    with s3_behind_proxy(tmp_path, s3_server) as store:
        places = new_places(store, raw, tmp_path)
        address = s3_server.address
        profiles = {"reader": (OTHER, address), "writer": (OWNER, address)}
        file = profiles_file(tmp_path / "creds", profiles)
        s3_server.allow(places.raw.split("/")[2], READ + LIST)
        places.variables = {"COSMOS_S3_PROFILE_PATH": str(file)}
        names = ("--input_s3_profile_name", "reader", "--output_s3_profile_name", "writer")
        # Worker processes must get both accounts, and print no more than the first process.
        profile = ("--verbose", "--perf_profile", *MULTI)
        ended = places.curate(*names, *profile)
        assert ended.status == 0, ended.err
        check_whole(store, places, whole, tmp_path)
        swapped = ("--input_s3_profile_name", "writer", "--output_s3_profile_name", "reader")
        refused = places.curate(*swapped, *profile)
        assert refused.status == 1
        assert "profile reader" in refused.err
        assert "AccessDenied" in refused.err
        with file.open("a") as creds:
            creds.write(f"aws_session_token = {SESSION_TOKEN}\n")
        # The server of the tests takes none; what matters is that it was sent.
        wrong_token = places.curate(*names, *profile)
        assert "the session token is wrong" in wrong_token.err
        objects = store.objects(places.root)
    runs = (ended, refused, wrong_token)
    printed = [text.encode() for run in runs for text in (run.out, run.err)]
    assert not list(places.scratch.iterdir())
    for secret in (OWNER.secret, OTHER.secret, SESSION_TOKEN, "Signature", "X-Amz-Security-Token"):
        assert [
            content[:200] for content in (*objects.values(), *printed) if secret.encode() in content
        ] == []


def test_a_second_run_is_refused_and_a_killed_one_goes_on(
    store: Store, raw: Path, whole: dict[str, str], tmp_path: Path
) -> None:
    places = new_places(store, raw, tmp_path)
    second = Places(
        places.raw, places.root, tmp_path / "scratch2", places.variables, places.options
    )
    with places.started() as run:
        run.wait(lambda: num_metas(store, places) > 0)
        # Held, so that it is still at work when the second one looks.
        os.killpg(run.process.pid, signal.SIGSTOP)
        assert num_metas(store, places) < len(whole_metas(whole))
        started = time.monotonic()
        refused = second.curate()
        seconds = time.monotonic() - started
        run.kill()
    assert refused.status == 1
    refused.told(places.out, f"process {run.process.pid}", "wait until")
    assert seconds < REFUSED_SECONDS
    ended = places.curate()
    assert ended.status == 0, ended.err
    check_whole(store, places, whole, tmp_path)
    assert not list(places.scratch.iterdir()), "the scratch folder of the killed run"


def test_killed_between_tars_and_their_description_it_goes_on(
    s3_server: S3Server, raw: Path, whole: dict[str, str], tmp_path: Path
) -> None:
    with s3_behind_proxy(tmp_path, s3_server) as store:
        places = new_places(store, raw, tmp_path)
        with places.started(variables={FAULT_VARIABLE: "kill@tars_published"}) as run:
            assert run.end().status == -signal.SIGKILL
        ended = places.curate()
        assert ended.status == 0, ended.err
        check_whole(store, places, whole, tmp_path)


COMMON_FAULTS: tuple[tuple[str, Fault, int], ...] = (
    (WRITES, LoseAnswer(), 11),
    (WRITES, ResetUpload(500), 13),
    (READS, Cut(300), 9),
    (READS, Cut(50, reset=True), 14),
    (READS, Stall(100, 2), 40),
    (".", ResetBefore(), 21),
    ("^DELETE ", LoseAnswer(), 2),
)
OWN_FAULTS: dict[str, tuple[tuple[str, Fault, int], ...]] = {
    "s3": ((".", SLOW_DOWN, 17), (".", INTERNAL, 19), (".", TOO_MANY, 23)),
    "gcs": ((".", GCS_UNAVAILABLE, 17), (".", GCS_TOO_MANY, 23)),
}


def test_under_every_fault_nothing_is_lost_and_nothing_is_double(
    store: Store, raw: Path, whole: dict[str, str], tmp_path: Path
) -> None:
    places = new_places(store, raw, tmp_path)
    store.proxy.clear()
    faults = (*COMMON_FAULTS, *OWN_FAULTS[store.kind])
    # Not in the first seconds: a store in trouble at the start is told soon, not waited for.
    before = {READS: 16, WRITES: 18, ".": 37}
    rules = [
        store.proxy.add(match, fault, count=None, every=every, skip=before.get(match, 0))
        for match, fault, every in faults
    ]
    ended = places.curate()
    store.proxy.clear()
    assert ended.status == 0, ended.err
    assert all(rule.done for rule in rules), rules
    check_whole(store, places, whole, tmp_path)


def test_a_store_that_dies_half_way_ends_the_run_which_goes_on_later(
    raw: Path, whole: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "server").mkdir()
    with running_s3(tmp_path / "server") as server, s3_behind_proxy(tmp_path, server) as store:
        places = new_places(store, raw, tmp_path)
        places.variables = {
            "COSMOS_S3_PROFILE_PATH": str(
                profiles_file(tmp_path / "direct", {"default": (OWNER, server.address)})
            )
        }
        with places.started() as run:
            run.wait(lambda: num_metas(store, places) > 0)
            server.kill()
            ended = run.end(DYING_SECONDS)
        assert ended.status == 1
        ended.told(server.address, "nothing answers there", "profile default")
        server.start()
        ended = places.curate()
        assert ended.status == 0, ended.err
        check_whole(store, places, whole, tmp_path)
