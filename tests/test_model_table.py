"""The preflight table: every model that a run needs, all that is missing at once, and ``auto``."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from caption_server import KEY, MODEL, CaptionServer, caption_server
from fake_gpu import fake_gpus
from make_video import VideoSpec, make_video
from run_command import Curated
from wrong_use import Ended, use

from beam_pipeline.models.caption_engines import served
from beam_pipeline.models.model_row import ModelRow, local_row
from beam_pipeline.models.model_table import ModelTable, raise_problems
from runners.gpu_memory import GpuMemory, gpus_here
from transforms.errors import PreflightError

GB = 1_000_000_000
CUT = ("--fixed_stride_split_duration", "3", "--fixed_stride_min_clip_length_s", "1")
STRIDE = ("--splitting_algorithm", "fixed-stride", *CUT)
CAPTIONS = ("--generate_captions", "true", "--captioning_algorithm", "openai")
Capture = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch


@pytest.fixture(autouse=True)
def nothing_here(monkeypatch: Patch, tmp_path: Path) -> None:
    """Have no weights in the hub's cache and no endpoint of this machine."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "no-cache"))
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    served.served_model.cache_clear()


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    folder = tmp_path / "raw"
    folder.mkdir()
    make_video(folder / "a.mp4", VideoSpec(seconds=4, size=(64, 48)))
    return folder


@pytest.fixture
def server(monkeypatch: Patch) -> Iterator[CaptionServer]:
    with caption_server() as running:
        monkeypatch.setenv("OPENAI_BASE_URL", running.url)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        yield running


def gpu(free: int, total: int = 80, name: str = "0") -> GpuMemory:
    return GpuMemory(name, total * GB, free * GB)


def table(*rows: ModelRow, gpus: tuple[GpuMemory, ...] = (), is_local: bool = True) -> ModelTable:
    return ModelTable(rows, gpus, has_gpu=bool(gpus), is_local=is_local)


SHOTS = ModelRow("shots", "transnetv2", where="here", gpu_memory_bytes=1 * GB)
QWEN = ModelRow("captions", "qwen", where="here", gpu_memory_bytes=21 * GB)
VLLM = dataclasses.replace(QWEN, device="gpu", gpu_share=0.85)


@pytest.mark.parametrize(
    ("rows", "gpus", "needed"),
    [
        ((SHOTS, QWEN), (gpu(22),), None),
        ((SHOTS, QWEN), (gpu(21),), "22.0 GB"),
        ((SHOTS, QWEN), (gpu(80), gpu(21, name="1")), "22.0 GB"),
        # vLLM takes its share of the whole GPU, however small the model.
        ((SHOTS, VLLM), (gpu(70),), None),
        ((SHOTS, VLLM), (gpu(68),), "69.0 GB"),
        # ... and the weights must fit, too.
        ((dataclasses.replace(VLLM, gpu_memory_bytes=100 * GB),), (gpu(80),), "100.0 GB"),
        ((dataclasses.replace(VLLM, gpu_memory_bytes=100 * GB, num_gpus=2),), (gpu(80),), None),
        # An endpoint and a processor take nothing of a GPU; without one, "auto" is a processor.
        ((dataclasses.replace(QWEN, device="endpoint"), SHOTS), (gpu(1),), None),
        ((dataclasses.replace(QWEN, device="cpu"),), (gpu(1),), None),
        ((QWEN,), (), None),
    ],
)
def test_models_that_do_not_fit_one_gpu_together_are_refused(
    rows: tuple[ModelRow, ...], gpus: tuple[GpuMemory, ...], needed: str | None
) -> None:
    found = table(*rows, gpus=gpus)
    if needed is None:
        raise_problems(found)
        return
    with pytest.raises(PreflightError, match="do not fit one GPU together") as raised:
        raise_problems(found)
    assert f"they need about {needed}" in str(raised.value)
    # On a cluster, this machine's GPUs are none of the run's.
    raise_problems(dataclasses.replace(found, is_local=False))


def test_a_gpu_that_is_asked_for_and_absent_is_a_problem_on_this_machine() -> None:
    needs = dataclasses.replace(QWEN, device="gpu")
    with pytest.raises(PreflightError, match="captions by qwen needs a GPU, and there is none"):
        raise_problems(table(needs))
    raise_problems(table(needs, is_local=False))


def test_gpus_are_those_that_this_process_may_use(monkeypatch: Patch, tmp_path: Path) -> None:
    fake_gpus(monkeypatch, tmp_path / "bin", {0: (81_920, 80_000), 1: (24_576, 1_000)})
    assert gpus_here() == [
        GpuMemory("0", 81_920 << 20, 80_000 << 20),
        GpuMemory("1", 24_576 << 20, 1_000 << 20),
    ]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-0001")
    assert [one.name for one in gpus_here()] == ["1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert gpus_here() == []
    (tmp_path / "bin" / "nvidia-smi").write_text("#!/bin/sh\nexit 9\n")
    assert gpus_here() == []


def test_a_check_adds_up_what_models_take_of_this_machines_gpu(
    raw: Path, tmp_path: Path, monkeypatch: Patch, capsys: Capture
) -> None:
    words = (
        *("models", "check", "split", "--input_video_path", raw),
        *("--output_clip_path", tmp_path / "out", *STRIDE),
        *("--captioning_algorithm", "qwen", "--generate_captions", "true"),
        *("--captioning_engine", "transformers", "--generate_embeddings", "true"),
        *("--embedding_algorithm", "siglip2"),
    )
    together = "siglip2 2.8 GB (embeddings), qwen 20.9 GB (captions)"
    for free_mib, fits in ((23_000, True), (22_000, False)):
        fake_gpus(monkeypatch, tmp_path / "bin", {0: (81_920, free_mib), 1: (81_920, 81_000)})
        ended = use(capsys, *words)
        assert ended.status == 1, "there are no weights"
        assert re.search(r"^  captions +qwen .* gpu +about 20\.9 GB$", ended.out, re.MULTILINE)
        free = f"{free_mib * (1 << 20) / 1e9:.1f}"
        assert f"together on one GPU: about 23.7 GB of {free} GB free" in ended.out
        assert ("do not fit one GPU together" in ended.err) is not fits
        assert (together in ended.err) is not fits


def test_all_problems_are_told_at_once_by_run_plan_and_check(
    raw: Path, tmp_path: Path, capsys: Capture
) -> None:
    empty = tmp_path / "models"
    empty.mkdir()
    words = (
        *("split", "--input_video_path", raw, "--output_clip_path", tmp_path / "out", *STRIDE),
        *("--captioning_algorithm", "qwen", "--generate_captions", "true"),
        *("--generate_embeddings", "true", "--embedding_algorithm", "siglip2"),
        *("--enhance_captions", "true", "--model_weights_path", empty),
        *("--captioning_engine", "transformers"),
    )
    for command in ((), ("plan",), ("models", "check")):
        ended = use(capsys, *command, *words)
        assert ended.status == 1
        said = ended.out + ended.err
        assert re.search(r"^ *captions +qwen +missing", said, re.MULTILINE), said
        assert re.search(r"^ *embeddings +siglip2 +missing", said, re.MULTILINE), said
        assert re.search(r"^ *enhancement +qwen_lm +missing", said, re.MULTILINE), said
        for model, hub_id in (
            ("qwen", "Qwen/Qwen2.5-VL-7B-Instruct"),
            ("siglip2", "google/siglip2-base-patch16-224"),
            ("qwen_lm", "Qwen/Qwen2.5-14B-Instruct"),
        ):
            ended.told(
                f"weights of {model} are not on this machine",
                f"model_weights_path={empty} ({hub_id} is not there)",
                f"python -m beam_pipeline models pull {model} ",
            )
        assert not (tmp_path / "out").exists()
    num_problems = re.search(r"(\d) things are missing for the models", ended.err)
    assert num_problems
    assert int(num_problems[1]) >= 3


def test_a_check_in_which_nothing_is_missing_says_so(
    raw: Path, tmp_path: Path, server: CaptionServer, capsys: Capture
) -> None:
    ended = use(
        capsys,
        *("models", "check", "split", "--input_video_path", raw),
        *("--output_clip_path", tmp_path / "out", *STRIDE, *CAPTIONS),
    )
    assert ended.status == 0
    assert re.search(rf"^  captions +{MODEL} +{MODEL} answers +endpoint +-$", ended.out, re.M)
    assert ended.out.endswith("nothing is missing\n")
    assert server.requests == []


def test_a_run_without_models_needs_none(raw: Path, tmp_path: Path, capsys: Capture) -> None:
    off = ("--generate_captions", "false", "--generate_embeddings", "false")
    words = ("split", "--input_video_path", raw, "--output_clip_path", tmp_path / "out")
    ended = use(capsys, "models", "check", *words, *STRIDE, *off)
    assert (ended.status, ended.out) == (0, "models: none are needed\nnothing is missing\n")


def test_row_of_weights_names_every_missing_thing(tmp_path: Path) -> None:
    row = local_row(
        "captions",
        "qwen",
        task="caption",
        model_weights_path=str(tmp_path),
        packages={"no_such_module": "models", "nor_this": "vllm", "json": "models"},
    )
    assert row.where == ""
    assert row.gpu_memory_bytes is not None
    packages, weights = row.problems
    assert "no_such_module, nor_this, which are not installed here" in packages
    assert "pip install 'beam-curate[models,vllm]'" in packages
    assert "models pull qwen" in weights


def begin(run: Curated, server: CaptionServer) -> None:
    """Begin a run with ``auto`` captions, and have the endpoint die in it."""
    server.dies_after = 1
    assert run.curate(*STRIDE, *AUTO) == 1
    assert (run.out / "runs" / "current.json").exists()


AUTO = ("--captioning_algorithm", "openai", "--openai_caption_retries", "0")


def test_an_unfinished_run_keeps_what_auto_came_to(
    raw: Path, tmp_path: Path, monkeypatch: Patch, capsys: Capture
) -> None:
    run = Curated.below(tmp_path, raw)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with caption_server() as first:
        monkeypatch.setenv("OPENAI_BASE_URL", first.url)
        begin(run, first)
    stored = run.read("runs/options.json")
    assert stored["options"]["generate_captions"] == "auto"
    assert stored["resolved"]["generate_captions"]["resolved"] is True
    # The server is down: captions are not silently left out.
    served.served_model.cache_clear()
    capsys.readouterr()
    assert run.curate(*STRIDE, *AUTO) == 1
    said = capsys.readouterr().err
    assert "generate_captions: auto is on as in the unfinished run here (" in said
    assert "does not answer as an OpenAI-compatible endpoint" in said
    assert not (run.out / "summary.json").exists()
    # It is up again: the run goes on with captions.
    served.served_model.cache_clear()
    with caption_server() as second:
        monkeypatch.setenv("OPENAI_BASE_URL", second.url)
        assert run.curate(*STRIDE, *AUTO) == 0
    assert run.read("runs/options.json")["resolved"] == stored["resolved"]
    assert all(
        window["openai_caption"] for meta in run.metas().values() for window in meta["windows"]
    )
    # It is finished: a new run decides anew.
    served.served_model.cache_clear()
    make_video(raw / "b.mp4", VideoSpec(seconds=4, size=(48, 64)))
    capsys.readouterr()
    assert run.curate(*STRIDE, *AUTO) == 0
    said = capsys.readouterr().err
    assert "generate_captions: auto is off here" in said
    assert "unfinished" not in said
    assert run.read("runs/options.json")["resolved"]["generate_captions"]["resolved"] is False


def test_an_unfinished_run_that_was_begun_without_captions_stays_so(
    raw: Path, tmp_path: Path, server: CaptionServer, capsys: Capture
) -> None:
    run = Curated.below(tmp_path, raw)
    begin(run, server)
    path = run.out / "runs" / "options.json"
    stored = json.loads(path.read_text())
    stored["resolved"]["generate_captions"] |= {"resolved": False, "why": "no endpoint"}
    path.write_text(json.dumps(stored))
    server.dies_after = None
    served.served_model.cache_clear()
    server.requests.clear()
    capsys.readouterr()
    assert run.curate(*STRIDE, *AUTO) == 0
    assert (
        "generate_captions: auto is off as in the unfinished run here (no endpoint); "
        "--generate_captions true turns it on" in capsys.readouterr().err
    )
    assert server.requests == []


def test_shown_table_is_the_same_in_plan_and_run(
    raw: Path, tmp_path: Path, server: CaptionServer, capsys: Capture
) -> None:
    words = ("split", "--input_video_path", raw, "--output_clip_path", tmp_path / "out")
    off = ("--generate_embeddings", "false")
    planned = use(capsys, "plan", *words, *STRIDE, *CAPTIONS, *off)
    ran = use(capsys, *words, *STRIDE, *CAPTIONS, *off)
    assert (planned.status, ran.status) == (0, 0)

    def shown(ended: Ended) -> list[str]:
        lines = [line.strip() for line in (ended.out + ended.err).splitlines()]
        return [line for line in lines if re.match(r"(use|captions) +\w+", line)]

    assert len(shown(planned)) == 2
    assert shown(planned) == shown(ran)
    shutil.rmtree(tmp_path / "out")
