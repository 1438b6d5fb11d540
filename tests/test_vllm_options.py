"""From options to vLLM's settings, and whole runs on a stand-in for vLLM."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fake_vllm
import numpy as np
import pytest
from make_video import VideoSpec, make_video
from model_packages import needs_transformers
from run_command import Curated

from beam_pipeline.configuration.config import SplitConfig, flat, load_config
from beam_pipeline.models.caption_engines import vllm
from beam_pipeline.models.captions import engine_spec
from transforms.errors import PreflightError, UsageError
from transforms.formats.clip_meta import ClipMeta
from transforms.media.clip_frames import write_window_frames
from transforms.media.observers.window_frames import frames_plan
from transforms.models.captions.chat_template import ChatTemplate
from transforms.models.captions.settings import Sampling, TransformersSettings
from transforms.models.captions.vllm_settings import VllmSettings

TinyModel = Callable[[str], Path]


def config(**values: Any) -> SplitConfig:
    paths = {"input_video_path": "raw", "output_clip_path": "out"}
    made = load_config("split", {**paths, "captioning_engine": "vllm", **values}, {})
    assert isinstance(made, SplitConfig)
    return made


def settings_of(model: Path, **values: Any) -> VllmSettings:
    settings = engine_spec(config(captioning_model=str(model), **values)).settings
    assert isinstance(settings, VllmSettings)
    return settings


@needs_transformers
def test_what_a_model_with_a_name_of_its_own_gets(
    tiny_model: TinyModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_vllm.install(monkeypatch)
    settings = settings_of(tiny_model("qwen2_5_vl"), vllm_sampling_temperature=0.7)
    assert settings.engine == {
        "trust_remote_code": False,
        "max_model_len": 32768,
        "gpu_memory_utilization": 0.85,
        "compilation_config": {"cudagraph_mode": "PIECEWISE"},
        "limit_mm_per_prompt": {"image": 0, "video": 1},
        "mm_processor_cache_gb": 0.0,
        "performance_mode": "throughput",
        "disable_log_stats": True,
    }
    assert settings.sampling == Sampling(temperature=0.7)
    assert (settings.max_tokens, settings.slots, settings.retries) == (8192, 256, 3)
    assert engine_spec(config(captioning_model=settings.path)).sees == "frames"
    assert settings_of(Path(settings.path), captioning_max_output_tokens=-1).max_tokens is None


def test_the_algorithm_s_own_settings() -> None:
    assert vllm.gpu_share(config(captioning_algorithm="nemotron")) == 0.9
    assert vllm.gpu_share(config(captioning_algorithm="qwen3_vl_30b")) == 0.85
    share = {"vllm_async_gpu_memory_utilization": 0.5}
    assert vllm.gpu_share(config(captioning_algorithm="vllm_async", **share)) == 0.5
    named = config(captioning_algorithm="vllm_async", vllm_async_model_name="cosmos_r1")
    assert vllm.model_name(named) == "cosmos_r1"
    assert vllm.model_name(config(captioning_algorithm="qwen")) == "qwen"


@needs_transformers
def test_the_knobs_of_vllm_async(tiny_model: TinyModel, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_vllm.install(monkeypatch)
    model = tiny_model("qwen2_5_vl")
    settings = settings_of(
        model,
        captioning_algorithm="vllm_async",
        vllm_async_num_gpus=4,
        vllm_async_data_parallel_size=2,
        vllm_async_max_num_seqs=64,
        vllm_async_async_scheduling=True,
        vllm_async_extra_env_vars="NCCL_DEBUG=WARN, A=b=c",
    )
    assert settings.slots == 1024
    assert settings.environment == (("NCCL_DEBUG", "WARN"), ("A", "b=c"))
    assert settings.engine == {
        "gpu_memory_utilization": 0.85,
        "dtype": "auto",
        "max_num_seqs": 64,
        "enforce_eager": False,
        "limit_mm_per_prompt": {"image": 0, "video": 1},
        "mm_encoder_tp_mode": "data",
        "kv_cache_dtype": "auto",
        "mm_processor_cache_gb": 4.0,
        "trust_remote_code": False,
        "disable_log_stats": True,
        "async_scheduling": True,
        "disable_chunked_mm_input": False,
        "stream_interval": 9999,
        "skip_mm_profiling": True,
        "mm_processor_kwargs": {"max_pixels": 602112},
        "data_parallel_size": 2,
        "tensor_parallel_size": 2,
        "compilation_config": {"cudagraph_mode": "PIECEWISE"},
        "performance_mode": "throughput",
    }
    at_once = {"vllm_async_max_concurrent_requests": 7}
    assert settings_of(model, captioning_algorithm="vllm_async", **at_once).slots == 7


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"vllm_async_num_gpus": 3, "vllm_async_data_parallel_size": 2}, "give a multiple"),
        ({"vllm_async_cudagraph_mode": "half"}, "must be one of none, piecewise, full"),
        (
            {"vllm_async_max_model_len": 4096},
            "captioning_max_output_tokens=8192 leaves no room for a window in the context of 4096",
        ),
        ({"captioning_engine": "transformers"}, "contradicts captioning_algorithm=vllm_async"),
    ],
)
def test_options_that_contradict_each_other(values: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        engine_spec(config(captioning_algorithm="vllm_async", **values))


@needs_transformers
def test_environment_that_is_none(tiny_model: TinyModel, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_vllm.install(monkeypatch)
    odd = {"captioning_algorithm": "vllm_async", "vllm_async_extra_env_vars": "A=1,B"}
    with pytest.raises(UsageError, match="must be NAME=VALUE"):
        settings_of(tiny_model("qwen2_5_vl"), **odd)


def test_the_environment_of_the_engine_is_never_shown() -> None:
    given = config(
        captioning_algorithm="vllm_async", vllm_async_extra_env_vars="HF_TOKEN=hf_of_the_tests"
    )
    assert "hf_of_the_tests" not in json.dumps(flat(given)) + repr(given)


@pytest.mark.parametrize("algorithm", ["qwen", "vllm_async"])
def test_vllm_that_is_not_installed_is_told(
    algorithm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So Python finds none, wherever this runs.
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(PreflightError, match=r"pip install 'beam-curate\[vllm\]'"):
        engine_spec(config(captioning_algorithm=algorithm))


def test_too_few_gpus_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for devices, said in (("0", "take 2 GPUs, and vLLM sees 0"), ("1", "and vLLM sees 1")):
        fake_vllm.install(monkeypatch, devices=devices)
        with pytest.raises(PreflightError, match=said):
            vllm.check_device(config(captioning_algorithm="vllm_async", vllm_async_num_gpus=2))
    for devices in ("2", "cpu"):
        fake_vllm.install(monkeypatch, devices=devices)
        vllm.check_device(config(captioning_algorithm="vllm_async", vllm_async_num_gpus=2))


def test_who_captions_where_it_is_left_open(monkeypatch: pytest.MonkeyPatch) -> None:
    def is_meant(**values: Any) -> bool:
        return vllm.is_meant(config(**{"captioning_engine": "auto", **values}))

    if importlib.util.find_spec("vllm") is None:
        assert not is_meant()
    fake_vllm.install(monkeypatch)
    assert is_meant()
    assert is_meant(captioning_algorithm="vllm_async")
    assert not is_meant(captioning_engine="transformers")
    assert not is_meant(captioning_device="cpu")
    assert not is_meant(captioning_algorithm="openai")
    fake_vllm.install(monkeypatch, devices="0")
    assert not is_meant(), "no GPU"
    assert is_meant(captioning_engine="vllm"), "asked for by name: its absence is told"


@needs_transformers
def test_auto_takes_transformers_where_vllm_is_not(tiny_model: TinyModel) -> None:
    model = str(tiny_model("qwen2_5_vl"))
    found = engine_spec(config(captioning_model=model, captioning_engine="transformers"))
    assert isinstance(found.settings, TransformersSettings)


@needs_transformers
def test_the_chat_is_the_model_s_own(tiny_model: TinyModel, tmp_path: Path) -> None:
    template = ChatTemplate(str(tiny_model("qwen3_vl")))
    video = "<|vision_start|><|video_pad|><|vision_end|>"
    ending = "what is it?<|im_end|>\n<|im_start|>assistant\n"
    assert template.chat("what is it?", has_video=True) == f"<|im_start|>user\n{video}{ending}"
    assert template.chat("what is it?", has_video=False) == f"<|im_start|>user\n{ending}"
    with pytest.raises(PreflightError, match="no processor with a chat template"):
        ChatTemplate(str(tmp_path))


def seen(clip: Path, window: dict[str, Any], meta: dict[str, Any], folder: Path) -> str:
    """Return a digest of the frames of a window of a committed clip."""
    plan = frames_plan(
        (window["start_frame"], window["end_frame"] + 1),
        size=(meta["width"], meta["height"]),
        fps=meta["framerate"],
        sampling_fps=2.0,
    )
    [file] = write_window_frames(clip, [plan], folder / clip.stem)
    return hashlib.sha256(np.load(file).tobytes()).hexdigest()


@needs_transformers
@pytest.mark.parametrize("mode", ["in_memory", "multi_processing"])
def test_every_caption_of_a_run_is_on_its_own_window(
    tiny_model: TinyModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    fake_vllm.install(monkeypatch, devices="cpu")
    folders = (*fake_vllm.FOLDERS, str(Path.cwd()))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(folders))
    raw = tmp_path / "raw"
    raw.mkdir()
    for number, size in enumerate([(64, 48), (96, 64)]):
        make_video(raw / f"{number}.mp4", VideoSpec(seconds=5, size=size))
    run = Curated.below(tmp_path, raw)
    options = (
        *("--fixed_stride_split_duration", "3", "--fixed_stride_min_clip_length_s", "1"),
        *("--captioning_window_size", "32", "--captioning_remainder_threshold", "8"),
        *("--generate_captions", "true", "--captioning_algorithm", "vllm_async"),
        *("--vllm_async_model_name", str(tiny_model("qwen2_5_vl"))),
        *("--direct_running_mode", mode, "--direct_num_workers", "2"),
    )
    assert run.curate(*options) == 0
    num_captions = 0
    for clip_id, meta in run.metas().items():
        ClipMeta.model_validate(meta)
        for window in meta["windows"]:
            clip = run.out / "clips" / f"{clip_id}.mp4"
            assert window["vllm_async_caption"] == f"seen {seen(clip, window, meta, tmp_path)}"
            assert window["caption_status"] == "success"
            num_captions += 1
    assert num_captions == 10
