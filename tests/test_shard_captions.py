"""Whose captions, and which version of them, `shard` packs."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest
from make_video import VideoSpec, make_video
from run_command import Curated
from wrong_use import listing, use

CUT = ("--splitting_algorithm", "fixed-stride", "--fixed_stride_split_duration", "3")
Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an output of ``split`` whose windows have captions by a served model."""
    folder = tmp_path_factory.mktemp("captioned") / "raw"
    folder.mkdir()
    make_video(folder / "a.mp4", VideoSpec(seconds=6, size=(64, 48)))
    run = Curated.below(folder.parent, folder)
    assert run.curate(*CUT, "--generate_captions", "false") == 0
    for path in (run.out / "metas" / "v0").glob("*.json"):
        meta = json.loads(path.read_text())
        for window in meta["windows"]:
            window |= {"openai_caption": "a dog", "openai_enhanced_caption": "One dog."}
        path.write_text(json.dumps(meta))
    return run.out


def captions(dataset: Path) -> list[str | None]:
    found = []
    for path in sorted(dataset.rglob("metas/*/*.tar")):
        with tarfile.open(path) as tar:
            found += [json.load(tar.extractfile(one)) for one in tar]
    return [sample.get("caption") for sample in found]


def test_the_captions_that_are_there_are_packed(out: Path, tmp_path: Path, capsys: Capture) -> None:
    shard = ("shard", "--input_clip_path", out, "--output_dataset_path", tmp_path / "set")
    ended = use(capsys, *shard)
    assert ended.status == 0
    ended.told("captioning_algorithm: openai (whose captions these clips have)")
    assert captions(tmp_path / "set") == ["a dog", "a dog"]


def test_an_algorithm_without_captions_is_told(out: Path, tmp_path: Path, capsys: Capture) -> None:
    shard = ("shard", "--input_clip_path", out, "--output_dataset_path", tmp_path / "set")
    ended = use(capsys, *shard, "--captioning_algorithm", "gemini")
    assert ended.status == 0
    ended.told("samples get no caption by gemini; these clips have captions by openai")
    assert captions(tmp_path / "set") == [None, None]


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("shard", "v7"), 1, "has no such version of its metadata (it has v0)"),
        (("shard", ".."), 2, "cannot be the name of a folder of its own"),
        (("shard", "a/b"), 2, "cannot be the name of a folder of its own"),
        (("curate", "v1"), 2, "curate packs the metadata that it writes"),
    ],
)
def test_a_version_that_is_not_there_is_wrong_use(
    out: Path,
    tmp_path: Path,
    capsys: Capture,
    *,
    words: tuple[str, str],
    status: int,
    said: str,
) -> None:
    before, (pipeline, version) = listing(out), words
    places = {
        "shard": ("--input_clip_path", out),
        "curate": ("--input_video_path", out.parent / "raw", "--output_clip_path", out),
    }[pipeline]
    dataset = ("--output_dataset_path", tmp_path / "set")
    ended = use(capsys, pipeline, *places, *dataset, "--annotation_version", version)
    assert ended.status == status
    ended.told(said)
    assert not (tmp_path / "set").exists()
    assert listing(out) == before
