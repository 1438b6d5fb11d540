"""What a video in a store costs before it is cut, and what a finished chunk costs a later run."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from make_video import VideoSpec, make_video
from store_runs import RAW_NAMES, Places, make_raw
from store_servers import OWNER, S3Server, profiles_file
from store_worlds import KINDS, Store, gcs_behind_proxy, s3_behind_proxy

from transforms.media.child_limits import ChildLimits
from transforms.media.probing import Prober
from transforms.records import Video

pytestmark = pytest.mark.store

FILE_BYTES = 50_000_000
NUM_FRAMES = 18_000
MOST_REQUESTS = 3
MOST_BYTES = 1 << 20
MOST_PER_CHUNK = 3


def make_big_video(path: Path, folder: Path, **options: str) -> Path:
    """Write ten minutes of H.264: one second again and again, each picture made big by filler."""
    second = make_video(
        folder / "second.mp4", VideoSpec(seconds=1, size=(64, 48), fps=Fraction(30))
    )
    with av.open(str(second)) as source, av.open(str(path), "w", options=options) as out:
        video = source.streams.video[0]
        stream = out.add_stream_from_template(video)
        packets = [packet for packet in source.demux(video) if packet.size]
        num_filler = FILE_BYTES // NUM_FRAMES - sum(one.size for one in packets) // len(packets)
        # A NAL unit of type 12, as mp4 stores it: its length, its header, its filler, its end.
        unit = (num_filler - 4).to_bytes(4, "big") + b"\x0c" + b"\xff" * (num_filler - 6) + b"\x80"
        length = sum(packet.duration or 0 for packet in packets)
        for repeat in range(NUM_FRAMES // len(packets)):
            for packet in packets:
                again = av.Packet(bytes(packet) + unit)
                again.pts = (packet.pts or 0) + repeat * length
                again.dts = (packet.dts or 0) + repeat * length
                again.duration = packet.duration
                again.time_base = packet.time_base
                again.is_keyframe = packet.is_keyframe
                again.stream = stream
                out.mux(again)
    return path


@pytest.fixture(scope="module", params=KINDS)
def store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Store]:
    with contextlib.ExitStack() as stack:
        if request.param == "gcs":
            yield stack.enter_context(gcs_behind_proxy())
            return
        server: S3Server = request.getfixturevalue("s3_server")
        folder = tmp_path_factory.mktemp("probe_requests")
        store = stack.enter_context(s3_behind_proxy(folder, server))
        file = profiles_file(folder / "profiles", {"default": (OWNER, store.proxy.address)})
        environment = stack.enter_context(pytest.MonkeyPatch.context())
        environment.setenv("COSMOS_S3_PROFILE_PATH", str(file))
        yield store


@pytest.fixture(scope="module")
def big_video(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a function that makes the big video once for each place of its index."""
    made: dict[str, Path] = {}

    def make(**options: str) -> Path:
        folder = tmp_path_factory.mktemp("big")
        key = repr(options)
        if key not in made:
            made[key] = make_big_video(folder / "big.mp4", folder, **options)
        return made[key]

    return make


@pytest.mark.parametrize("options", [{}, {"movflags": "faststart"}], ids=["index last", "first"])
def test_a_header_of_50_mb_takes_three_requests_and_one_mib(
    store: Store, options: dict[str, str], big_video: Callable[..., Path], tmp_path: Path
) -> None:
    path = big_video(**options)
    num_bytes = path.stat().st_size
    assert num_bytes > 49_000_000
    root = store.new_root()
    store.put(f"{root}/raw/big.mp4", path.read_bytes())
    store.proxy.clear()
    with Prober(tmp_path, ChildLimits()) as prober:
        facts = prober.probe(_video(f"{root}/raw/big.mp4", num_bytes))
        requests = list(store.proxy.requests)
        assert facts == prober.probe(_video(str(path), num_bytes))
    assert facts.num_frames == NUM_FRAMES
    ranges = [(one.method, one.range, one.num_received) for one in requests]
    assert 1 <= len(requests) <= MOST_REQUESTS, ranges
    assert sum(one.num_received for one in requests) <= MOST_BYTES, ranges


def _video(uri: str, num_bytes: int) -> Video:
    return Video(uri=uri, rel="big.mp4", source_id="big", num_bytes=num_bytes)


def test_a_finished_chunk_costs_a_later_run_three_requests(
    s3_server: S3Server, tmp_path: Path
) -> None:
    with s3_behind_proxy(tmp_path, s3_server) as store:
        _check_requests_of_chunks(store, tmp_path)


def _check_requests_of_chunks(store: Store, tmp_path: Path) -> None:
    raw = make_raw(tmp_path / "raw")
    source = store.new_root()
    for name in RAW_NAMES:
        store.put(f"{source}/raw/{name}", (raw / name).read_bytes())
    root = f"{store.new_root()}/runs"
    places = Places(f"{source}/raw", root, tmp_path / "scratch", store.variables(tmp_path))
    assert places.curate("--limit", "1").status == 0
    finished = _chunks(store.objects(root))
    assert finished
    # With all that a run does if it is not told to leave it: also the prediction.
    for options in (("--predict",), ("--predict", "--limit", "2")):
        store.proxy.clear()
        ended = places.curate(*options)
        assert ended.status == 0, ended.err
        for chunk, clips in finished.items():
            paths = [f"{one.method} {one.path}" for one in store.proxy.requests]
            own = [path for path in paths if any(name in path for name in (chunk, *clips))]
            assert 1 <= len(own) <= MOST_PER_CHUNK, own
        finished = _chunks(store.objects(root))
    assert "nothing was left to do" in ended.out


def _chunks(objects: dict[str, bytes]) -> dict[str, list[str]]:
    """Return key of each chunk's record to the ids of its clips."""
    found = {}
    for rel, content in objects.items():
        if rel.startswith("processed/processed_clip_chunks/"):
            record: dict[str, Any] = json.loads(content)
            found[rel] = [*record["clips"], *record["filtered_clips"]]
    return found
