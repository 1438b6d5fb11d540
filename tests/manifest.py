"""Rows of MANIFEST.tsv, which says what the real videos hold; written when they were collected."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

GOOD = (
    "cosmos_test_clip_10s.mp4",
    "cosmos_test_video_30s.mp4",
    "decord_video_90.mov",
    "dj_video11.mp4",
    "fate_hevc_dv84.mp4",
    "imageio_cockatoo.mp4",
    "mpy_big_buck_bunny_0_30.webm",
    "mpy_fire2.mp4",
    "mpy_no_duration.webm",
    "nemo_test_video.mp4",
    "opencv_vtest.avi",
    "psd_counter.mp4",
    "sam2_01_dog.mp4",
    "skv_bigbuckbunny.mp4",
    "skv_bikes.mp4",
    "skv_carphone_pristine.mp4",
    "synth_cuts_gt.mp4",
    "tc_av1_video.mkv",
    "tc_h265_10bits.mp4",
    "tc_nasa_13013.mp4",
)
"""Every real video that decodes."""

FIRST_OF_TWO_STREAMS = "tc_nasa_13013.mp4"
"""Its row describes the first video stream; the best one is the second."""


@dataclass(frozen=True)
class Row:
    """One video's line; fields as in the file."""

    fields: dict[str, str]

    def __getitem__(self, name: str) -> str:
        """Return the named field."""
        return self.fields[name]


def read_manifest(folder: Path) -> dict[str, Row]:
    """Return the rows by file name."""
    with (folder / "MANIFEST.tsv").open(newline="") as file:
        return {row["file"]: Row(row) for row in csv.DictReader(file, delimiter="\t")}
