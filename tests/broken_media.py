"""Broken media from a seed: ``make(name)`` gives the same file for the same ``{kind}-{seed}``."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Callable
from fractions import Fraction
from random import Random

from broken_bases import LISTED, MATROSKA, SPECS, base, made, remuxed, sound_only
from broken_boxes import boxes, field_offsets, scheme_box

Broken = tuple[str, bytes]
"""Ending of the file's name, and content."""
_ALL = tuple(SPECS)
_EXTREME = (0, 1, 2, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def make(name: str) -> tuple[str, bytes]:
    """Return file name and content of the case ``{kind}-{seed}``."""
    kind = name.rsplit("-", 1)[0]
    ending, data = KINDS[kind](Random(name))
    return name + ending, data


def names(number: int) -> list[str]:
    """Return so many cases, of every kind about equally many."""
    kinds = list(KINDS)
    return [f"{kinds[i % len(kinds)]}-{i // len(kinds)}" for i in range(number)]


def _pick(random: Random, choices: tuple[str, ...] = _ALL) -> tuple[str, bytearray]:
    name = random.choice(choices)
    return name[name.rindex(".") :], bytearray(base(name))


def _truncated(random: Random) -> Broken:
    ending, data = _pick(random)
    return ending, bytes(data[: random.randrange(1, len(data))])


def _flip(random: Random, data: bytearray, start: int, end: int) -> None:
    for _ in range(random.choice((1, 4, 32))):
        data[random.randrange(start, min(end, len(data)))] ^= 1 << random.randrange(8)


def _header_bits(random: Random) -> Broken:
    ending, data = _pick(random)
    at = data.find(b"moov")
    start = max(0, at)
    _flip(random, data, start, start + 700)
    return ending, bytes(data)


def _data_bits(random: Random) -> Broken:
    ending, data = _pick(random)
    _flip(random, data, len(data) // 8, len(data))
    return ending, bytes(data)


def _spliced(random: Random) -> Broken:
    ending, data = _pick(random)
    start = random.randrange(len(data))
    end = min(len(data), start + random.choice((1, 100, 5000)))
    new = random.choice(
        (b"", bytes(end - start), random.randbytes(end - start), data[end:start:-1])
    )
    return ending, bytes(data[:start] + new + data[end:])


def _without_box(random: Random) -> Broken:
    """Rename a box to one that readers skip: moov, trak, stsz, avcC, ..."""
    ending, data = _pick(random, LISTED)
    found = boxes(data)
    at = random.choice([found[0], *[box for box in found if box.kind == b"moov"], *found]).at
    data[at + 4 : at + 8] = b"free"
    return ending, bytes(data)


def _box_size(random: Random) -> Broken:
    ending, data = _pick(random, LISTED)
    box = random.choice(boxes(data))
    data[box.at : box.at + 4] = struct.pack(">I", random.choice(_EXTREME))
    return ending, bytes(data)


def _box_field(random: Random) -> Broken:
    """Put extreme numbers into time scales, durations, tables, sizes of pictures."""
    ending, data = _pick(random, LISTED)
    box = random.choice([box for box in boxes(data) if field_offsets(box)])
    for offset in random.choices(field_offsets(box), k=random.choice((1, 2))):
        data[offset : offset + 4] = struct.pack(">I", random.choice(_EXTREME))
    return ending, bytes(data)


def _ebml_size(random: Random) -> Broken:
    """Make an element of a matroska file as large as a size can say, or larger than its parent."""
    ending, data = _pick(random, MATROSKA)
    ids = (b"\x18\x53\x80\x67", b"\x15\x49\xa9\x66", b"\x16\x54\xae\x6b", b"\x1f\x43\xb6\x75")
    at = data.find(random.choice(ids)) + 4
    data[at : at + 8] = random.choice((b"\x01" + b"\xff" * 7, b"\x01" + b"\x7f" * 7, b"\x00" * 8))
    return ending, bytes(data)


def _ebml_field(random: Random) -> Broken:
    """Put extreme numbers at width, height, time scale, duration, codec delay."""
    ending, data = _pick(random, MATROSKA)
    ids = (b"\xb0", b"\xba", b"\x2a\xd7\xb1", b"\x44\x89", b"\x56\xaa", b"\x23\xe3\x83")
    element = random.choice([one for one in ids if one in data])
    at = data.find(element) + len(element)
    size = data[at] & 0x0F or 1
    data[at + 1 : at + 1 + size] = random.choice((b"\xff", b"\x00", b"\x7f", b"\x80")) * size
    return ending, bytes(data)


def _picture_size(random: Random) -> Broken:
    """Valid, but odd or tiny; one frame; or few."""
    size = random.choice(((2, 2), (321, 181), (16, 2), (2, 16), (3, 5), (64, 64)))
    ending = random.choice((".mp4", ".mkv", ".webm", ".avi"))
    codec = {".webm": "libvpx-vp9", ".avi": "mpeg4"}.get(ending, "libx264")
    odd = codec == "libx264" and (size[0] % 2 or size[1] % 2)
    spec = dataclasses.replace(
        SPECS["moov_last.mp4"],
        codec=codec,
        size=size,
        b_frames=0,
        pixel_format="yuv444p" if odd else "yuv420p",
        seconds=random.choice((0.1, 0.2, 0.6, 1.6)),
    )
    return ending, made("a" + ending, spec)


def _giant_picture(random: Random) -> Broken:
    """State pictures of up to 65535 x 65535 pixels where the decoder believes it."""
    side = random.choice((4000, 16383, 65535))
    if random.random() < 0.5:
        data, mark, form = bytearray(base("mjpeg.avi")), b"\xff\xc0", ">HH"
        struct.pack_into("<II", data, data.find(b"strf") + 12, side, side)
    else:
        # Behind the start code of a keyframe: 14 bits each.
        data, mark, form = bytearray(base("vp8.webm")), b"\x9d\x01\x2a", "<HH"
    at = data.find(mark)
    while at >= 0:
        place = at + (5 if form == ">HH" else 3)
        struct.pack_into(form, data, place, side, side)
        at = data.find(mark, at + 8)
    return (".avi" if form == ">HH" else ".webm"), bytes(data)


def _times(random: Random) -> Broken:
    """Negative, doubled and backward time stamps, and gaps of up to hours."""
    ending = random.choice((".mkv", ".mp4", ".ts", ".flv", ".mov"))
    steps = random.choice(
        (
            {0: -5000},
            {random.randrange(1, 15): 3_600_000},
            {0: 3_600_000},
            {random.randrange(1, 15): 1500, random.randrange(1, 15): 20_000},
            {0: 5000, random.randrange(1, 15): 60_000},
        )
    )
    source = "h264.flv" if ending == ".flv" else "faststart.mp4"
    return ending, remuxed(base(source), "a" + ending, retime=steps)


def _doubled_times(random: Random) -> Broken:
    """Set time stamps of whole stretches of packets to the same value."""
    if random.random() < 0.5:
        data = bytearray(base("moov_last.mp4"))
        at = data.find(b"stts")
        count = struct.unpack_from(">I", data, at + 8)[0]
        for entry in range(count):
            struct.pack_into(">I", data, at + 16 + 8 * entry, random.choice((0, 0, 1, 5_000_000)))
        return ".mp4", bytes(data)
    data = bytearray(base("vp9.webm"))
    for at in range(len(data) - 5):
        if data[at] == 0xA3 and data[at + 1] & 0xC0 and random.random() < 0.5:
            data[at + 3 : at + 5] = struct.pack(">h", random.choice((0, 0, -30, 400, 32767)))
    return ".webm", bytes(data)


def _size_change(random: Random) -> Broken:
    """Two sizes, one behind the other, in one stream."""
    codec = random.choice(("libx264", "mpeg2video"))
    spec = dataclasses.replace(SPECS["mpeg2.ts"], codec=codec)
    other = dataclasses.replace(spec, size=random.choice(((96, 64), (32, 32), (64, 96))))
    parts = [made("a.ts", spec), made("a.ts", other)]
    return ".ts", b"".join(parts * random.choice((1, 2)))


def _streams(random: Random) -> Broken:
    ending = random.choice((".mp4", ".mkv", ".mov", ".ts"))
    source = base("faststart.mp4")
    return ending, remuxed(source, "a" + ending, copies=random.choice((2, 3, 9)))


def _sound_only(random: Random) -> Broken:
    container = random.choice((".m4a", ".mp4", ".mkv", ".ts", ".flv"))
    return random.choice((container, ".mp4")), sound_only("a" + container)


def _cover_art(random: Random) -> Broken:
    """A picture beside sound, or beside a video, marked as its cover."""
    spec = dataclasses.replace(
        SPECS["mjpeg.avi"], seconds=0.1, audio=random.choice(("", "aac")), fps=Fraction(10)
    )
    data = bytearray(made("a.mp4", spec) if random.random() < 0.5 else base("faststart.mp4"))
    picture = made("a.avi", dataclasses.replace(spec, audio=""))
    start = picture.find(b"\xff\xd8")
    jpeg = picture[start : picture.find(b"\xff\xd9", start) + 2]
    value = struct.pack(">I4sII", 16 + len(jpeg), b"data", 13, 0) + jpeg
    cover = struct.pack(">I4s", 8 + len(value), b"covr") + value
    items = struct.pack(">I4s", 8 + len(cover), b"ilst") + cover
    handler = struct.pack(">I4sII4s4s9x", 33, b"hdlr", 0, 0, b"mdir", b"appl")
    meta = struct.pack(">I4sI", 12 + len(handler) + len(items), b"meta", 0) + handler + items
    udta = struct.pack(">I4s", 8 + len(meta), b"udta") + meta
    return ".mp4", bytes(data) + struct.pack(">I4s", 8 + len(udta), b"moov") + udta


def _encrypted(random: Random) -> Broken:
    key = "76a6c65c5ea762046bd749a2e632ccbb"
    muxer = (
        ("encryption_scheme", "cenc-aes-ctr"),
        ("encryption_key", key),
        ("encryption_kid", "a7e61c373e219033c21091fa607bf3b8"),
    )
    data = bytearray(base("moov_last.mp4"))
    if random.random() < 0.4:
        return ".mp4", remuxed(bytes(data), "a.mp4", muxer=muxer)
    at = data.find(b"avc1", data.find(b"stsd"))
    if random.random() < 0.5:
        data[at : at + 4] = b"encv"
        return ".mp4", bytes(data)
    return ".mp4", scheme_box(data, at)


def _endless(random: Random) -> Broken:
    """No duration, no index: what a live recording leaves, whole or cut off."""
    ending, data = _pick(random, ("live.mkv", "live.webm", "fragments.mp4"))
    if random.random() < 0.7:
        data = data[: random.randrange(len(data) // 3, len(data))]
    return ending, bytes(data)


def _other(random: Random) -> Broken:
    """What is no video at all."""
    ending = random.choice((".mp4", ".mkv", ".ts", ".avi", ""))
    texts = (
        b"",
        b"\0",
        b"not a video\n" * random.choice((1, 1000)),
        b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"\x89PNG\r\n\x1a\n" + random.randbytes(300),
        b"%PDF-1.7\n" + random.randbytes(300),
        b"\x7fELF" + bytes(500),
        b"PK\x03\x04" + random.randbytes(200),
        b"[" * 100_000,
        random.randbytes(random.choice((7, 4096, 30_000))),
        bytes(random.choice((100, 40_000))),
        b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomavc1",
        b"\x1a\x45\xdf\xa3" + random.randbytes(2000),
        b"\x47" * 188 * 40,
        b"RIFF\xff\xff\xff\xffAVI LIST" + random.randbytes(1000),
        b"FLV\x01\x05\x00\x00\x00\x09" + random.randbytes(1000),
    )
    return ending, random.choice(texts)


def _glued(random: Random) -> Broken:
    """Two files in one, or a container under the name of another."""
    ending, first = _pick(random)
    other, second = _pick(random)
    if random.random() < 0.5:
        return other, bytes(first)
    return ending, bytes(first + second)


KINDS: dict[str, Callable[[Random], Broken]] = {
    "truncated": _truncated,
    "header_bits": _header_bits,
    "data_bits": _data_bits,
    "spliced": _spliced,
    "without_box": _without_box,
    "box_size": _box_size,
    "box_field": _box_field,
    "ebml_size": _ebml_size,
    "ebml_field": _ebml_field,
    "picture_size": _picture_size,
    "giant_picture": _giant_picture,
    "times": _times,
    "doubled_times": _doubled_times,
    "size_change": _size_change,
    "streams": _streams,
    "sound_only": _sound_only,
    "cover_art": _cover_art,
    "encrypted": _encrypted,
    "endless": _endless,
    "other": _other,
    "glued": _glued,
}
