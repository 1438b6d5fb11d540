"""What single broken videos once did to the probe, the split and the packet index."""

from __future__ import annotations

import io
import struct
from fractions import Fraction
from pathlib import Path

import pytest
from broken_bases import base, remuxed
from records_for_tests import make_facts

from transforms.errors import MediaError
from transforms.media.packet_index import build_packet_index
from transforms.media.probe import probe
from transforms.records import ProbedVideo, Video
from transforms.shots.fixed_stride import MAX_PIECES, split_fixed_stride
from transforms.shots.splitting import Splitting


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def titled(title: bytes) -> bytes:
    """Return an mp4 with a title of these bytes."""
    data = bytearray(base("moov_last.mp4"))
    value = box(b"data", struct.pack(">II", 1, 0) + title)
    handler = box(b"hdlr", struct.pack(">II4s4s9x", 0, 0, b"mdir", b"appl"))
    meta = box(b"meta", bytes(4) + handler + box(b"ilst", box(b"\xa9nam", value)))
    udta = box(b"udta", meta)
    at = data.find(b"moov") - 4
    struct.pack_into(">I", data, at, struct.unpack_from(">I", data, at)[0] + len(udta))
    return bytes(data) + udta


def test_a_title_in_a_foreign_encoding_is_no_reason_to_fail() -> None:
    data = titled("Frühstück".encode("latin-1"))
    facts = probe(io.BytesIO(data), name="a.mp4", num_bytes=len(data))
    assert (facts.width, facts.height, facts.header_frames) == (64, 64, 16)


def test_a_codec_that_nothing_here_decodes_is_named() -> None:
    data = base("moov_last.mp4").replace(b"avc1", b"zzzz").replace(b"avcC", b"free")
    with pytest.raises(MediaError, match=r"a\.mp4: .*codec is unknown") as raised:
        probe(io.BytesIO(data), name="a.mp4", num_bytes=len(data))
    assert raised.value.reason == "no_decoder"


def test_a_video_of_which_the_edit_list_hides_every_frame_is_named(tmp_path: Path) -> None:
    """Frames at negative times make such a list."""
    data = remuxed(base("faststart.mp4"), "a.mov", retime={0: -5000})
    path = tmp_path / "a.mov"
    path.write_bytes(data)
    facts = probe(str(path), name=str(path), num_bytes=len(data))
    with pytest.raises(MediaError, match="packets that show a frame") as raised:
        build_packet_index(str(path), facts)
    assert raised.value.reason == "unreadable"


@pytest.mark.parametrize(("seconds", "fits"), [(MAX_PIECES, True), (MAX_PIECES + 1, False)])
def test_a_header_that_states_years_is_named(seconds: int, fits: bool) -> None:
    facts = make_facts(duration_seconds=float(seconds), average_rate=Fraction(25))
    probed = ProbedVideo(Video("/raw/a.mp4", "a.mp4", "/raw/a.mp4", 1), facts)
    config = Splitting(fixed_stride_split_duration=1, fixed_stride_min_clip_length_s=0.5)
    if fits:
        assert len(split_fixed_stride(probed, config).spans) == MAX_PIECES
    else:
        with pytest.raises(MediaError, match=r"/raw/a\.mp4: its header states") as raised:
            split_fixed_stride(probed, config)
        assert raised.value.reason == "too_long"
