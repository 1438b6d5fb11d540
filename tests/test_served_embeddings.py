"""Embeddings by a real server: every vector on its own clip, whatever the server does."""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from caption_server import KEY, MODEL, CaptionServer, caption_server, known_server
from embedding_server import EmbeddingHandler, frames_vector
from make_video import VideoSpec, make_video
from model_packages import without_packages
from run_command import Curated
from test_frame_sampling import decoded
from wrong_use import STRIDE, use_process

from beam_pipeline.cli import main
from beam_pipeline.models.caption_engines import served
from transforms.clips.embedding_files import read_table
from transforms.media.frame_sampling import sequence_frames
from transforms.models.api_access import ApiAccess
from transforms.models.embeddings.embedder import EmbeddingError
from transforms.models.embeddings.served import EmbeddingServerGoneError, ServedEmbedder
from transforms.models.embeddings.served_settings import ServedSettings

CUT = (
    *("--fixed_stride_split_duration", "3", "--fixed_stride_min_clip_length_s", "1"),
    *("--captioning_window_size", "32", "--captioning_remainder_threshold", "8"),
    *("--generate_captions", "false"),
)
SERVED = (
    *("--generate_embeddings", "true", "--embedding_algorithm", "openai"),
    *("--openai_embedding_retry_delay_seconds", "0.01"),
)
HALF = ("--max_failed_share", "0.5")


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return three videos whose clips all look different, and a text file with a video's name."""
    folder = tmp_path_factory.mktemp("embeddings") / "raw"
    folder.mkdir()
    for number, size in enumerate([(64, 48), (96, 64), (48, 80)]):
        make_video(folder / f"{number}.mp4", VideoSpec(seconds=7, size=size, noise=number == 1))
    (folder / "text.mp4").write_text("no video")
    return folder


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[CaptionServer]:
    """Return a running server that the program knows of."""
    with known_server(monkeypatch, EmbeddingHandler) as running:
        yield running


def check_vectors(run: Curated) -> int:
    """Check every kept clip's vector against its own frames; return how many there are."""
    in_tables = {}
    for path in (run.out / "openai_embd_parquet").glob("*.parquet"):
        in_tables.update(read_table(path.read_bytes()))
    kept = {clip: meta for clip, meta in run.metas().items() if "rejection" not in meta}
    for clip_id, meta in kept.items():
        frames = np.stack(decoded(run.out / "clips" / f"{clip_id}.mp4"))
        fps = Fraction(25)
        chosen = sequence_frames(range(len(frames)), 1 / fps, fps=Fraction(2))
        expected = frames_vector(frames[chosen])
        vector = pickle.loads((run.out / "openai_embd" / f"{clip_id}.pickle").read_bytes())
        assert vector.dtype == np.float32
        assert vector.shape == (9,) == tuple(meta["embedding"]["shape"])
        # JPEG loses a little.
        assert np.allclose(vector, expected, rtol=0.02, atol=2), clip_id
        assert np.array_equal(in_tables.pop(clip_id), vector)
        assert meta["embedding"]["model_name"] == meta["embedding"]["model_version"] == MODEL
        assert meta["errors"] == []
    assert in_tables == {}
    return len(kept)


def test_every_vector_is_on_its_own_clip(raw: Path, server: CaptionServer, tmp_path: Path) -> None:
    run = Curated.below(tmp_path, raw)
    ways = {0: "429", 2: "drop", 3: "500", 5: "garbage", 7: "slow", 9: "page", 11: "odd"}
    server.misbehave = ways.get
    # As many as there are bad answers: one clip may get them all.
    assert run.curate(*CUT, *SERVED, *HALF, "--openai_embedding_retries", "6") == 3
    assert check_vectors(run) == 9
    assert server.problems == []
    assert len(server.requests) == 9 + 6
    assert server.most_at_once > 1
    summary = run.read("summary.json")
    assert summary["embedding_algorithm"] == "openai"
    assert summary["total_num_clips_with_embeddings"] == 9
    assert run.read("processed_clip_chunks/0.mp4_0.json")["num_clips_with_embeddings"] == 3
    server.requests.clear()
    assert run.curate(*CUT, *SERVED, *HALF) == 3
    assert server.requests == [], "a rerun sends nothing"
    assert main(["verify", str(run.out)]) == 0


def test_a_rejected_clip_causes_no_request(
    raw: Path, server: CaptionServer, tmp_path: Path
) -> None:
    run = Curated.below(tmp_path, raw)
    strict = ("--sharpness_filter", "enable", "--sharpness_threshold", "500")
    assert run.curate(*CUT, *SERVED, *HALF, *strict) == 3
    metas = run.metas()
    rejected = {clip_id for clip_id, meta in metas.items() if "rejection" in meta}
    assert 0 < len(rejected) < len(metas)
    assert len(server.requests) == len(metas) - len(rejected) == check_vectors(run)
    for clip_id in rejected:
        assert "embeddings" not in metas[clip_id]["stages"]
        assert "embedding" not in metas[clip_id]
        assert not (run.out / "openai_embd" / f"{clip_id}.pickle").exists()
    # Kept after all, they are embedded; turned down after all, their vectors go.
    lenient = ("--sharpness_filter", "enable", "--sharpness_threshold", "0", "--accept_changes")
    assert run.curate(*CUT, *SERVED, *HALF, *lenient) == 3
    assert check_vectors(run) == len(server.requests) == len(metas)
    assert run.curate(*CUT, *SERVED, *HALF, *strict, "--accept_changes") == 3
    assert check_vectors(run) == len(metas) - len(rejected)
    stored = {path.stem for path in (run.out / "openai_embd").iterdir()}
    assert stored == metas.keys() - rejected
    assert main(["verify", str(run.out)]) == 0


def test_no_table_keeps_a_clip_that_is_turned_down_when_nothing_is_embedded(
    raw: Path, server: CaptionServer, tmp_path: Path
) -> None:
    run = Curated.below(tmp_path, raw)
    assert run.curate(*CUT, *SERVED, *HALF) == 3
    strict = ("--sharpness_filter", "enable", "--sharpness_threshold", "100000")
    assert run.curate(*CUT, *HALF, *strict, "--generate_embeddings", "false") == 3
    assert all("rejection" in meta for meta in run.metas().values())
    for folder in ("openai_embd", "openai_embd_parquet"):
        assert list((run.out / folder).iterdir()) == []
    assert main(["verify", str(run.out)]) == 0


def test_a_clip_the_server_cannot_embed_stays(
    raw: Path, server: CaptionServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = Curated.below(tmp_path, raw)
    server.misbehave = {1: "500"}.get
    assert run.curate(*CUT, *SERVED, *HALF, "--openai_embedding_retries", "0", "--verbose") == 3
    metas = run.metas()
    assert len(metas) == 9
    without = [meta for meta in metas.values() if "embedding" not in meta]
    assert [meta["embedding_missing"] for meta in without] == ["request_failed"]
    assert without[0]["errors"] == ["embedding"]
    assert "broken" in without[0]["embedding_message"]
    assert run.read("summary.json")["total_num_clips_with_embeddings"] == 8
    assert main(["verify", str(run.out)]) == 0
    said = capfd.readouterr()
    assert KEY not in said.out + said.err
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []


def test_a_server_that_dies_ends_the_run_and_the_same_command_goes_on(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Curated.below(tmp_path, raw)
    # A chunk per clip and a request at a time: some clips are finished before it dies.
    options = (*CUT, *SERVED, *HALF, "--openai_embedding_retries", "0")
    few = ("--openai_embedding_max_concurrent_requests", "1", "--embedding_batch_size", "2")
    served.served_model.cache_clear()
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with caption_server(EmbeddingHandler) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        server.dies_after = 5
        assert run.curate(*options, *few) == 1
    assert "does not answer any more; start it again" in capsys.readouterr().err
    assert not (run.out / "summary.json").exists()
    served.served_model.cache_clear()
    with caption_server(EmbeddingHandler) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        assert run.curate(*options, *few) == 3
        assert check_vectors(run) == 9
        assert len(server.requests) <= 9


def test_an_endpoint_that_is_not_there_or_refuses_is_named(
    raw: Path,
    server: CaptionServer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = Curated.below(tmp_path, raw)
    assert run.curate(*CUT, *SERVED, "--openai_embedding_model_name", "other") == 1
    said = capsys.readouterr().err
    assert f"does not serve other; it serves {MODEL}" in said
    assert "--openai_embedding_model_name" in said
    assert run.curate(*CUT, *SERVED, "--embedding_model", "some/tower") == 2
    assert "embedding_model=some/tower is for models in the worker" in capsys.readouterr().err
    monkeypatch.setenv("OPENAI_API_KEY", "sk-a-wrong-one")
    assert run.curate(*CUT, *SERVED) == 1
    said = capsys.readouterr().err
    assert "refuses the API key (HTTP 401)" in said
    assert "sk-a-wrong-one" not in said
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    assert run.curate(*CUT, *SERVED) == 1
    assert "http://127.0.0.1:9/v1: does not answer" in capsys.readouterr().err
    monkeypatch.delenv("OPENAI_BASE_URL")
    monkeypatch.delenv("OPENAI_API_KEY")
    assert run.curate(*CUT, *SERVED) == 1
    assert "no OpenAI-compatible endpoint is known for embedding" in capsys.readouterr().err
    assert not run.out.exists()
    assert server.requests == []


def embedder(server: CaptionServer, key: str = KEY, **settings: int) -> ServedEmbedder:
    """Return an embedder that asks this server."""
    served_settings = ServedSettings(MODEL, retry_delay_seconds=0.01, **settings)
    return ServedEmbedder(served_settings, ApiAccess(server.url, key))


def clips(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(7)
    return [rng.integers(0, 255, (n % 3 + 1, 16, 24, 3), np.uint8) for n in range(count)]


def test_results_stand_in_the_order_of_the_clips(server: CaptionServer) -> None:
    server.misbehave = lambda number: "slow" if number % 3 == 0 else None
    found = embedder(server, slots=4).embed(clips(12))
    for vector, frames in zip(found, clips(12), strict=True):
        assert isinstance(vector, np.ndarray)
        assert vector[:3].tolist() == [len(frames), 16, 24]
    assert 1 < server.most_at_once <= 4


def test_only_the_clip_that_fails_has_no_vector(server: CaptionServer) -> None:
    server.misbehave = lambda number: "500" if number in (2, 3, 4) else None
    found = embedder(server, slots=1, retries=2).embed(clips(4))
    assert [isinstance(one, EmbeddingError) for one in found] == [False, False, True, False]
    assert isinstance(found[2], EmbeddingError)
    assert found[2].reason == "request_failed"
    assert len(server.requests) == 6, "nobody else is asked about again"


def test_a_key_that_is_refused_half_way_ends_the_run_without_naming_it(
    server: CaptionServer,
) -> None:
    with pytest.raises(EmbeddingServerGoneError, match=r"refuses the API key \(HTTP 401\)") as told:
        embedder(server, "sk-withdrawn").embed(clips(1))
    assert "sk-withdrawn" not in str(told.value)


@pytest.mark.parametrize("answer", ["odd", "garbage", "page"])
def test_an_answer_that_is_no_vector_is_tried_again(server: CaptionServer, answer: str) -> None:
    server.misbehave = lambda number: answer if number < 2 else None
    [vector] = embedder(server, retries=2).embed(clips(1))
    assert isinstance(vector, np.ndarray)
    assert math.isclose(vector[0], 1)
    assert len(json.dumps(server.requests[0])) == len(json.dumps(server.requests[2]))


def test_a_model_whose_packages_are_missing_is_told(raw: Path, tmp_path: Path) -> None:
    model = tmp_path / "models" / "google" / "siglip2-base-patch16-224"
    model.mkdir(parents=True)
    (model / "config.json").write_text('{"model_type": "siglip"}')
    (model / "model.safetensors").write_bytes(b"\x02" + bytes(7) + b"{}")
    paths = ("--input_video_path", raw, "--output_clip_path", tmp_path / "out")
    options = (*STRIDE, "--no-generate_captions", "--model_weights_path", tmp_path / "models")
    env = without_packages(tmp_path / "site", "torch")
    for algorithm in ("siglip2", "auto"):
        wanted = ("--generate_embeddings", "true", "--embedding_algorithm", algorithm)
        ended = use_process("split", *paths, *options, *wanted, env=env)
        assert ended.status == 1
        ended.told("siglip2 needs torch", "pip install 'beam-curate[models]'")
        assert not (tmp_path / "out").exists()
