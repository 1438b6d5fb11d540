"""Embeddings in whole runs, with tiny checkpoints of the real classes. Needs torch."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import tiny_towers
from make_video import VideoSpec, make_video
from model_packages import NEEDS_TORCH
from run_command import Curated
from wrong_use import use

from beam_pipeline.cli import main
from transforms.annotate.embedding_settings import EmbedderSpec
from transforms.clips.embedding_files import read_table
from transforms.formats.chunk_record import ChunkRecord
from transforms.formats.clip_meta import ClipMeta
from transforms.formats.summary import Summary
from transforms.media.clip_files import embedding_frames
from transforms.media.look import LookSettings, look
from transforms.media.look_settings import FrameSettings
from transforms.models.embeddings.embedding_file import vector_bytes

pytestmark = NEEDS_TORCH
CUT = (
    *("--fixed_stride_split_duration", "3", "--fixed_stride_min_clip_length_s", "0.1"),
    *("--captioning_window_size", "32", "--captioning_remainder_threshold", "8"),
    *("--generate_captions", "false"),
)
MULTI = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of models below their names on the hub."""
    root = tmp_path_factory.mktemp("models")
    tiny_towers.tiny_siglip(root / "google" / "siglip2-base-patch16-224")
    tiny_towers.tiny_clip(root / "openai" / "clip-vit-large-patch14")
    tiny_towers.tiny_cosmos(root / "nvidia" / "Cosmos-Embed1-224p")
    return root


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return two videos of 6.2 s: the last clip of each is very short."""
    folder = tmp_path_factory.mktemp("embeddings") / "raw"
    folder.mkdir()
    for number, size in enumerate([(96, 64), (64, 96)]):
        make_video(folder / f"{number}.mp4", VideoSpec(seconds=6.2, size=size, noise=number == 1))
    return folder


def of_model(models: Path, algorithm: str = "siglip2") -> tuple[str, ...]:
    """Return the options that ask for embeddings by one of these models."""
    return (
        *("--generate_embeddings", "true", "--embedding_algorithm", algorithm),
        *("--embedding_device", "cpu", "--model_weights_path", str(models)),
    )


def vectors(run: Curated, stem: str) -> dict[str, np.ndarray]:
    return {
        path.stem: pickle.loads(path.read_bytes())
        for path in sorted((run.out / stem).glob("*.pickle"))
    }


def check_vectors(run: Curated, folder: Path, scratch: Path) -> None:
    """Check every vector against the model's own look at the stored clip; and the tables."""
    spec = EmbedderSpec("siglip2", "m", "v", folder=str(folder), device="cpu")
    embedder = spec.load()
    found = vectors(run, "siglip2_embd")
    metas = run.metas()
    assert found.keys() == metas.keys()
    settings = LookSettings(embedding_frames=FrameSettings(short_side=32))
    for clip_id, vector in found.items():
        look(
            run.out / "clips" / f"{clip_id}.mp4",
            settings,
            preview_folder=scratch,
            frames_folder=scratch / clip_id,
        )
        [expected] = embedder.embed([np.load(embedding_frames(scratch / clip_id))])
        assert isinstance(expected, np.ndarray)
        assert vector.tobytes() == expected.tobytes()
        assert (vector.dtype, vector.shape) == (np.float32, (1, 32))
    rows: dict[str, np.ndarray] = {}
    for rel, record in ((name, run.read(f"processed_videos/{name}.json")) for name in ("0.mp4",)):
        table = run.out / "siglip2_embd_parquet" / f"{record['video_uuid']}_0.parquet"
        clips = run.read(f"processed_clip_chunks/{rel}_0.json")["clips"]
        assert pq.read_table(table).column("id").to_pylist() == sorted(clips)
    for path in (run.out / "siglip2_embd_parquet").iterdir():
        rows.update(read_table(path.read_bytes()))
    assert rows.keys() == found.keys()
    assert all(np.array_equal(rows[clip_id], found[clip_id][0]) for clip_id in rows)


def test_a_run_in_memory_and_one_in_processes_give_the_same_bytes(
    raw: Path, models: Path, tmp_path: Path
) -> None:
    runs = [Curated.below(tmp_path / name, raw) for name in ("memory", "processes")]
    assert runs[0].curate(*CUT, *of_model(models)) == 0
    check_vectors(runs[0], models / "google" / "siglip2-base-patch16-224", tmp_path / "look")
    assert runs[1].curate(*CUT, *of_model(models), "--embedding_batch_size", "2", *MULTI) == 0
    trees = [run.trees() for run in runs]
    assert trees[0].keys() == trees[1].keys()
    assert len([name for name in trees[0] if name.endswith((".pickle", ".parquet"))]) == 8
    assert {name for name in trees[0] if trees[0][name] != trees[1][name]} == set()
    for meta in runs[0].metas().values():
        ClipMeta.model_validate(meta)
        assert meta["embedding"]["model_name"] == "google/siglip2-base-patch16-224"
        assert meta["embedding"]["device"] == "cpu"
    ChunkRecord.model_validate(runs[0].read("processed_clip_chunks/0.mp4_0.json"))
    summary = runs[0].read("summary.json")
    Summary.model_validate(summary)
    assert summary["embedding_algorithm"] == "siglip2"
    assert summary["total_num_clips_with_embeddings"] == 6
    assert main(["verify", str(runs[0].out)]) == 0


def test_embeddings_turned_on_later_leave_the_clips_alone(
    raw: Path, models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Curated.below(tmp_path, raw)
    own = Path(shutil.copytree(raw, tmp_path / "raw"))
    run = Curated.below(tmp_path, own)
    assert run.curate(*CUT, "--generate_embeddings", "false") == 0
    before = {path: path.stat().st_mtime_ns for path in (run.out / "clips").iterdir()}
    assert not any("embedding" in meta for meta in run.metas().values())
    # The sources are not needed any more.
    shutil.rmtree(own)
    own.mkdir()
    assert run.curate(*CUT, *of_model(models)) == 0
    assert {path: path.stat().st_mtime_ns for path in (run.out / "clips").iterdir()} == before
    check_vectors(run, models / "google" / "siglip2-base-patch16-224", tmp_path / "look")
    assert run.read("summary.json")["total_num_clips_with_embeddings"] == 6
    assert main(["verify", str(run.out)]) == 0
    # Bytes of another model: three ways on.
    capsys.readouterr()
    assert run.curate(*CUT, *of_model(models, "clip")) == 2
    said = capsys.readouterr().err
    assert "begun with other options for: embeddings" in said
    assert "embedding_algorithm: was 'siglip2', now 'clip'" in said


def test_a_clip_of_too_few_frames_stays_without_an_embedding(
    raw: Path, models: Path, tmp_path: Path
) -> None:
    run = Curated.below(tmp_path, raw)
    cosmos = of_model(models, "cosmos-embed1-224p")
    assert run.curate(*CUT, *cosmos, "--trust_remote_code", "true") == 0
    found = vectors(run, "ce1_embd_224p")
    assert {(vector.dtype.name, vector.shape) for vector in found.values()} == {
        ("float16", (1, 256))
    }
    # 0.2 s have 4 points at 20 frames per second; the model needs 8.
    short = {clip: meta for clip, meta in run.metas().items() if meta["num_frames"] == 5}
    assert len(short) == 2
    assert found.keys() == run.metas().keys() - short.keys()
    for meta in short.values():
        ClipMeta.model_validate(meta)
        assert meta["embedding_missing"] == "too_few_frames"
        assert meta["errors"] == ["embedding"]
        assert "embeddings" in meta["stages"], "it is not tried again"
    assert run.read("summary.json")["total_num_clips_with_embeddings"] == 4
    rows = [read_table(path.read_bytes()) for path in run.out.glob("ce1_embd_224p_parquet/*")]
    assert {clip_id for one in rows for clip_id in one} == found.keys()
    assert main(["verify", str(run.out)]) == 0


def test_auto_takes_what_is_here_and_stays_with_it(
    raw: Path, models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    only_clip = tmp_path / "models"
    shutil.copytree(models / "openai", only_clip / "openai")
    run = Curated.below(tmp_path, raw)
    assert run.curate(*CUT, "--model_weights_path", str(only_clip)) == 0
    said = capsys.readouterr().err
    assert "embedding_algorithm: clip (the first of those that are here)" in said
    assert "generate_embeddings: auto is on here (clip is here)" in said
    assert len(vectors(run, "clip_embd")) == 6
    resolved = run.read("summary.json")["resolved"]["generate_embeddings"]
    assert resolved == {"requested": "auto", "resolved": True, "why": "clip is here"}
    # SigLIP 2 would be preferred, but the output was begun with CLIP.
    assert run.curate(*CUT, "--model_weights_path", str(models)) == 0
    said = capsys.readouterr().err
    assert "embedding_algorithm: clip (as this output's embeddings were begun)" in said
    # Nothing is there any more: what was made stays.
    assert run.curate(*CUT, "--model_weights_path", str(tmp_path)) == 0
    assert "generate_embeddings: auto is off here" in capsys.readouterr().err
    assert len(vectors(run, "clip_embd")) == 6
    assert main(["verify", str(run.out)]) == 0


def embedded_files(run: Curated) -> dict[str, bytes]:
    """Return clips, vectors and tables."""
    folders = ("clips", "*_embd", "*_embd_parquet")
    paths = [path for folder in folders for path in run.out.glob(f"{folder}/*")]
    return {path.relative_to(run.out).as_posix(): path.read_bytes() for path in paths}


DAMAGES = ("vector gone", "vector changed", "another vector", "table gone", "table cut", "strays")


@pytest.fixture(scope="module")
def made(raw: Path, models: Path, tmp_path_factory: pytest.TempPathFactory) -> Curated:
    run = Curated.below(tmp_path_factory.mktemp("made"), raw)
    assert run.curate(*CUT, *of_model(models)) == 0
    return run


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_found_and_mended_to_the_same_bytes(
    made: Curated, models: Path, tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(made.out.parent, tmp_path / "copy")
    run = Curated(made.raw, tmp_path / "copy" / "processed", tmp_path / "copy" / "webdataset")
    before = embedded_files(run)
    vector = min((run.out / "siglip2_embd").iterdir())
    table = min((run.out / "siglip2_embd_parquet").iterdir())
    wrong = {vector.name, table.name}
    if damage == "vector gone":
        vector.unlink()
    elif damage == "vector changed":
        vector.write_bytes(vector.read_bytes()[:-9])
    elif damage == "another vector":
        # Whole, of the right kind, but not what the table holds.
        vector.write_bytes(vector_bytes(np.ones((1, 32), np.float32)))
        wrong = {table.name} | {path.name for path in table.parent.iterdir()}
    elif damage == "table gone":
        table.unlink()
    elif damage == "table cut":
        table.write_bytes(table.read_bytes()[:-9])
    else:
        stray = run.out / "clip_embd" / vector.name
        stray.parent.mkdir()
        shutil.copy(vector, stray)
        lost = table.with_name(f"{table.stem.rpartition('_')[0]}_7.parquet")
        shutil.copy(table, lost)
        wrong = {stray.name, lost.name}
    assert main(["verify", str(run.out)]) == 1
    said = capsys.readouterr().out
    assert any(name in said for name in wrong), said
    assert main(["verify", str(run.out), "--repair"]) == 1
    assert run.curate(*CUT, *of_model(models)) == 0
    assert main(["verify", str(run.out)]) == 0
    assert embedded_files(run).keys() == before.keys()
    if damage != "another vector":
        # Which of two whole vectors of the model's kind is the right one, nobody can tell.
        assert embedded_files(run) == before


def wrong_uses(models: Path) -> list[tuple[list[str], list[str]]]:
    """Return options, and what must be said to them."""
    siglip = str(models / "google" / "siglip2-base-patch16-224")
    absent = ("--embedding_algorithm", "siglip2", "--embedding_model", "some/model")
    remote = ("--embedding_algorithm", "internvideo2", "--trust_remote_code", "true")
    cosmos = ("--embedding_algorithm", "cosmos-embed1-224p", "--model_weights_path", str(models))
    return [
        (
            ["--embedding_algorithm", "siglip2", "--embedding_model", "/nowhere/model"],
            ["/nowhere/model", "no such folder"],
        ),
        ([*absent], ["weights of some/model are not on this machine", "models pull some/model"]),
        (
            [*absent, "--embedding_model_revision", "abc123"],
            ["weights of some/model", "--revision abc123"],
        ),
        (
            ["--embedding_algorithm", "clip", "--embedding_model", siglip],
            ["needs a checkpoint of clip", "holds one of siglip"],
        ),
        ([*cosmos], ["which runs with your rights", "--trust_remote_code"]),
        ([*remote, "--embedding_model", siglip], ["holds no config.json with auto_map"]),
        (["--embedding_algorithm", "nonsense"], ["embedding_algorithm", "siglip2", "nonsense"]),
        (["--embedding_algorithm", "auto"], ["siglip2 and clip are not on this machine"]),
        (["--embedding_batch_size", "0"], ["embedding_batch_size", "at least 1"]),
    ]


@pytest.mark.parametrize("number", range(9))
def test_wrong_use_is_told_before_the_start(
    raw: Path,
    models: Path,
    tmp_path: Path,
    number: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    options, said = wrong_uses(models)[number]
    paths = ["--input_video_path", str(raw), "--output_clip_path", str(tmp_path / "out")]
    ended = use(capsys, "split", *paths, *CUT, "--generate_embeddings", "true", *options)
    assert ended.status in (1, 2)
    ended.told(*said)
    assert not (tmp_path / "out").exists()


def test_a_gpu_that_is_asked_for_and_absent(
    raw: Path, models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch

    paths = ["--input_video_path", str(raw), "--output_clip_path", str(tmp_path / "out")]
    options = [*of_model(models), "--embedding_device", "cuda"]
    ended = use(capsys, "split", *paths, *CUT, "--splitting_algorithm", "fixed-stride", *options)
    if torch.cuda.is_available():
        assert ended.status == 0
        return
    assert ended.status == 1
    ended.told("embedding_device=cuda: torch finds no GPU on this machine")
    assert not (tmp_path / "out").exists()


def test_plan_says_which_model_embeds(
    raw: Path, models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = ["--input_video_path", str(raw), "--output_clip_path", str(tmp_path / "out")]
    auto = ["--model_weights_path", str(models), "--splitting_algorithm", "fixed-stride"]
    ended = use(capsys, "plan", "split", *paths, *CUT, *auto)
    assert ended.status == 0
    assert "embedding_algorithm: siglip2 (the first of those that are here)" in ended.out
    assert "embeddings  siglip2" in ended.out
    assert json.dumps(str(models))[1:-1] in ended.out
    assert not (tmp_path / "out").exists()
