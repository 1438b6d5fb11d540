"""FFmpeg's names of colour tags, by their ITU-T H.273 code numbers."""

from __future__ import annotations

_RANGES = {1: "tv", 2: "pc"}
_PRIMARIES = {
    1: "bt709",
    4: "bt470m",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    8: "film",
    9: "bt2020",
    10: "smpte428",
    11: "smpte431",
    12: "smpte432",
    22: "ebu3213",
}
_TRANSFERS = {
    1: "bt709",
    4: "gamma22",
    5: "gamma28",
    6: "smpte170m",
    7: "smpte240m",
    8: "linear",
    9: "log100",
    10: "log316",
    11: "iec61966-2-4",
    12: "bt1361e",
    13: "iec61966-2-1",
    14: "bt2020-10",
    15: "bt2020-12",
    16: "smpte2084",
    17: "smpte428",
    18: "arib-std-b67",
}
_MATRICES = {
    0: "gbr",
    1: "bt709",
    4: "fcc",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    8: "ycgco",
    9: "bt2020nc",
    10: "bt2020c",
    11: "smpte2085",
    12: "chroma-derived-nc",
    13: "chroma-derived-c",
    14: "ictcp",
}


def color_names(
    *, color_range: int, primaries: int, transfer: int, matrix: int
) -> tuple[str, str, str, str]:
    """Return (range, primaries, transfer, matrix) as ffprobe prints them; "" when untagged.

    Example:
        >>> color_names(color_range=1, primaries=9, transfer=18, matrix=9)
        ('tv', 'bt2020', 'arib-std-b67', 'bt2020nc')
    """
    return (
        _RANGES.get(int(color_range), ""),
        _PRIMARIES.get(int(primaries), ""),
        _TRANSFERS.get(int(transfer), ""),
        _MATRICES.get(int(matrix), ""),
    )
