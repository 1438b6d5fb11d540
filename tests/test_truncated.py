"""Cut off and damaged sources: found out, failed by name, or accepted up to the break and marked.

What a kept clip may show is told by the numbers in the pictures of the whole video.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import pytest
from coded_video import Made, make_coded, read_codes
from packed_avi import pack_b_frames
from run_command import Curated
from wrong_use import STRIDE

from transforms.errors import MediaError
from transforms.media.cut import CutResult, CutSpan, cut_run
from transforms.media.decode import DecodeCounters
from transforms.media.encode import resolve_encoder
from transforms.media.file_chain import broken_at
from transforms.media.file_end import cut_off
from transforms.media.packet_index import build_packet_index
from transforms.media.probe import probe
from transforms.media.transcode_options import Transcode
from transforms.media.transport_sync import sync_losses

NUM_FRAMES = 100
X264 = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "18", "-pix_fmt", "yuv420p", "-g", "12")
B_FRAMES = (*X264, "-bf", "2", "-b_strategy", "0")
X265 = ("-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
HEVC = (*X265, "-x265-params", "keyint=20:bframes=2:log-level=none")
VP9 = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-g", "20")
MPEG4 = ("-c:v", "mpeg4", "-q:v", "3", "-g", "20", "-sc_threshold", "1000000000")
FRAGMENTS = ("-movflags", "frag_keyframe+empty_moov")
FIRST = ("-movflags", "faststart")
SOUND = ("-f", "lavfi", "-i", "anoisesrc=seed=7:sample_rate=48000:duration=4")

SOURCES = {
    made.name: made
    for made in (
        Made("plain.mp4", (*X264, "-bf", "0", *FIRST), NUM_FRAMES),
        Made("b.mov", (*B_FRAMES, *FIRST), NUM_FRAMES),
        Made("hevc.mp4", (*HEVC, *FIRST), NUM_FRAMES),
        Made("fragments.mp4", (*B_FRAMES, *FRAGMENTS), NUM_FRAMES),
        Made("b.mkv", B_FRAMES, NUM_FRAMES),
        Made("sound.mkv", (*B_FRAMES, "-c:a", "aac"), NUM_FRAMES, sound=SOUND),
        Made("live.mkv", (*B_FRAMES, "-live", "1"), NUM_FRAMES),
        Made("vp9.webm", VP9, NUM_FRAMES),
        Made("b.ts", B_FRAMES, NUM_FRAMES),
        Made("b.flv", B_FRAMES, NUM_FRAMES),
        Made("plain.avi", MPEG4, NUM_FRAMES),
        Made("b.avi", (*MPEG4, "-bf", "1"), NUM_FRAMES),
    )
}
CONTAINERS = [name for name in SOURCES if name != "b.avi"]
STATED = [name for name in CONTAINERS if name not in ("b.ts", "live.mkv")]
"""Those whose container tells its size or its frames."""


@pytest.fixture(scope="module")
def coded(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that makes each source once; nobody may write to it."""
    folder = tmp_path_factory.mktemp("coded")

    def make(name: str) -> Path:
        path = folder / name
        if name == "packed.avi" and not path.exists():
            return pack_b_frames(make("b.avi"), path)
        return path if path.exists() else make_coded(folder, SOURCES[name])

    return make


def video_packets(path: Path) -> list[tuple[int, int]]:
    """Return (position, size) of the video's packets in the order of the file."""
    with av.open(str(path)) as container:
        packets = [p for p in container.demux(video=0) if p.size and p.pos is not None]
        return sorted((int(p.pos or 0), p.size) for p in packets)


def cut_offs(path: Path) -> Iterator[bytes]:
    """Yield the file's beginning up to many points: inside packets and between two."""
    data, packets = path.read_bytes(), video_packets(path)
    yield data[: len(data) * 95 // 100 - 1]
    for number in (50, 62, 97):
        position, size = packets[number]
        yield data[: position + size // 2]
        yield data[: position + size]


def without_middle(path: Path) -> Iterator[bytes]:
    """Yield the file with four packets zeroed, and with them taken out."""
    data, packets = path.read_bytes(), video_packets(path)
    start, end = packets[50][0], packets[54][0]
    yield data[:start] + bytes(end - start) + data[end:]
    # Not at the bounds of pieces: nothing but a storage fault leaves out whole ones.
    yield data[: start + 7] + data[end + 9 :]


def cut(path: Path, folder: Path, *, keep_prefix: float | None = None) -> list[CutResult]:
    """Cut four clips of one second; raises what indexing raises."""
    folder.mkdir(exist_ok=True)
    facts = probe(str(path), name=path.name, num_bytes=path.stat().st_size)
    index = build_packet_index(str(path), facts, keep_prefix=keep_prefix is not None)
    options = {"transcode_crf": 16, "transcode_preset": "ultrafast"}
    spans = [CutSpan(f"clip{n}", Fraction(n), Fraction(n + 1) if n < 3 else None) for n in range(4)]
    results = cut_run(
        path,
        facts,
        index,
        spans,
        settings=resolve_encoder(Transcode.model_validate(options))[0],
        folder=folder,
        windows=(256, 128),
        counters=DecodeCounters(),
        keep_prefix=keep_prefix,
    )
    return list(results)


def whole(number: int) -> list[int]:
    """Return the frames of clip ``number`` of the whole video."""
    return list(range(25 * number, 25 * number + 25))


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("name", [*SOURCES, "packed.avi"])
def test_a_whole_file_is_found_whole(coded: Callable[[str], Path], name: str) -> None:
    path = coded(name)
    facts = probe(str(path), name=name, num_bytes=path.stat().st_size)
    assert cut_off(str(path), facts.container) == ""
    assert broken_at(str(path), facts.container) is None
    assert facts.container != "mpegts" or sync_losses(str(path)) == []
    index = build_packet_index(str(path), facts)
    assert (len(index.lost_pts), index.missing) == (0, "")


@pytest.mark.parametrize("name", [*STATED, "packed.avi"])
def test_a_cut_off_file_is_refused_by_name(
    coded: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    for number, data in enumerate(cut_offs(coded(name))):
        path = write(tmp_path / f"{number}-{name}", data)
        if name.endswith(".avi") and number == 0:
            continue  # Only the index at its end is gone, and no frame.
        with pytest.raises(MediaError, match=path.name) as caught:
            cut(path, tmp_path / "clips")
        assert caught.value.reason == "truncated"


@pytest.mark.parametrize("name", [*CONTAINERS, "packed.avi"])
@pytest.mark.parametrize("damage", [cut_offs, without_middle])
def test_no_clip_is_short_or_wrong_without_saying_so(
    coded: Callable[[str], Path],
    tmp_path: Path,
    name: str,
    damage: Callable[[Path], Iterator[bytes]],
) -> None:
    source = coded(name)
    for number, data in enumerate(damage(source)):
        if damage is cut_offs and name in ("b.ts", "live.mkv") and number % 2 == 0 and number:
            continue  # Cut between two packets: nothing tells that more was to come.
        path = write(tmp_path / f"{number}-{name}", data)
        results = cut(path, tmp_path / "clips", keep_prefix=0.2)
        for at, result in enumerate(results):
            if result.path is None:
                assert result.truncated or result.failure
                continue
            frames = read_codes(result.path)
            expected = whole(at)[: len(frames)] if result.truncated else whole(at)
            assert frames == expected, (number, at)
            assert len(frames) == result.num_frames


@pytest.mark.parametrize(
    ("name", "last"), [("plain.mp4", 61), ("b.mkv", 59), ("b.flv", 59), ("plain.avi", 61)]
)
def test_the_marked_clip_ends_where_the_packets_do(
    coded: Callable[[str], Path], tmp_path: Path, name: str, last: int
) -> None:
    # 62 packets are whole, the next one is not. With B-frames the last two of them may be shown
    # behind frames that are missing.
    source = coded(name)
    position, size = video_packets(source)[62]
    path = write(tmp_path / name, source.read_bytes()[: position + size // 2])

    results = cut(path, tmp_path / "clips", keep_prefix=0.2)

    assert [result.truncated for result in results] == ["", "", "truncated", "truncated"]
    assert [result.failure for result in results] == [None] * 4
    assert results[2].path is not None
    assert read_codes(results[2].path)[-1] >= last - 1
    assert read_codes(results[2].path) == list(range(50, 50 + results[2].num_frames))
    assert results[3].path is None
    first, end = results[2].source_span_pts
    facts = probe(str(path), name=name, num_bytes=1)
    assert (end - first) * facts.time_base == pytest.approx(results[2].num_frames / 25, abs=0.002)


def test_less_than_the_shortest_clip_is_not_kept(
    coded: Callable[[str], Path], tmp_path: Path
) -> None:
    source = coded("plain.mp4")
    position, size = video_packets(source)[62]
    path = write(tmp_path / "short.mp4", source.read_bytes()[: position + size])

    results = cut(path, tmp_path / "clips", keep_prefix=0.6)

    assert [result.path is not None for result in results] == [True, True, False, False]
    assert [result.truncated for result in results[2:]] == ["truncated", "truncated"]


def test_a_video_without_a_first_frame_fails_all_the_same(
    coded: Callable[[str], Path], tmp_path: Path
) -> None:
    source = coded("plain.avi")
    position, size = video_packets(source)[0]
    path = write(tmp_path / "none.avi", source.read_bytes()[: position + size - 9])

    first, *others = cut(path, tmp_path / "clips", keep_prefix=0.2)

    assert first.failure is not None
    assert first.failure[0] == "truncated"
    assert [other.truncated for other in others] == ["truncated"] * 3


@pytest.mark.parametrize("keep_prefix", [None, 0.2])
def test_clips_behind_a_gap_are_cut_from_the_next_keyframe(
    coded: Callable[[str], Path], tmp_path: Path, keep_prefix: float | None
) -> None:
    path = write(tmp_path / "gap.ts", next(without_middle(coded("b.ts"))))

    results = cut(path, tmp_path / "clips", keep_prefix=keep_prefix)

    # Packets from 48 on are missing; frames 48 to 71 need them, 72 is a keyframe.
    assert [read_codes(r.path) for r in results[::3] if r.path] == [whole(0), whole(3)]
    if keep_prefix is None:
        assert [r.failure and r.failure[0] for r in results[1:3]] == ["truncated", "truncated"]
    else:
        assert [r.truncated for r in results] == ["", "truncated", "truncated", ""]
        assert results[1].path is not None


@pytest.mark.parametrize("name", ["plain.mp4", "b.mkv"])
def test_what_failed_is_accepted_by_the_option_and_a_retry(
    coded: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    source = coded(name)
    position, size = video_packets(source)[92]
    write(raw / f"cut_{name}", source.read_bytes()[: position + size // 2])
    run = Curated.below(tmp_path, raw)

    assert run.curate(*STRIDE) == 1
    assert run.metas() == {}
    reasons = {json.loads(path.read_text())["reason"] for path in run.out.glob("failures/*/*.json")}
    assert reasons == {"truncated"}

    assert run.curate(*STRIDE, "--keep_decodable_prefix", "--retry_failed") == 0

    metas = sorted(run.metas().values(), key=lambda meta: meta["duration_span"][0])
    assert [meta.get("source_truncated") for meta in metas] == [None, None, None, "truncated"]
    frames = [read_codes(Path(meta["clip_location"])) for meta in metas]
    assert frames[:3] == [whole(0), whole(1), whole(2)]
    assert frames[3] == list(range(75, 75 + metas[3]["num_frames"]))
    assert 89 <= frames[3][-1] <= 91
    assert list(run.out.glob("failures/*/*.json")) == []

    assert run.curate(*STRIDE) == 0  # Without the option nothing changes any more.
    assert len(run.metas()) == 4


def test_the_record_lists_what_the_source_breaks_off_before(
    coded: Callable[[str], Path], tmp_path: Path
) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    source = coded("plain.mp4")
    position, size = video_packets(source)[62]
    write(raw / "half.mp4", source.read_bytes()[: position + size // 2])
    run = Curated.below(tmp_path, raw)
    lengths = (
        "--splitting_algorithm",
        "fixed-stride",
        "--fixed_stride_split_duration",
        "1",
        "--fixed_stride_min_clip_length_s",
        "0.2",
    )

    assert run.curate(*lengths, "--keep_decodable_prefix") == 0

    record = run.read("processed_clip_chunks/half.mp4_0.json")
    assert (len(record["clips"]), record["num_clips_failed"]) == (3, 0)
    assert [clip["reason"] for clip in record["source_truncated"]] == ["truncated"]
    assert record["no_frames"] == [clip["span_uuid"] for clip in record["source_truncated"]]
