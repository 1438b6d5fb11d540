"""The vLLM engine: what is its own, on a stand-in for vLLM; what it calls, against a record."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import importlib.util
import inspect
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from pathlib import Path
from typing import Any

import fake_vllm
import pytest
from fake_vllm import asked

from transforms.errors import PreflightError
from transforms.models.captions import vllm_calls
from transforms.models.captions.engine import CaptionRequest, EngineGoneError
from transforms.models.captions.settings import Sampling
from transforms.models.captions.vllm_engine import VllmEngine
from transforms.models.captions.vllm_settings import VllmSettings
from transforms.models.weights_digest import weights_digest

RECORD: dict[str, dict[str, list[str]]] = json.loads(
    (Path(__file__).parent / "data" / "vllm_signatures.json").read_text()
)
OLDEST, NEWEST = next(iter(RECORD)), list(RECORD)[-1]
Start = Callable[..., VllmEngine]


@pytest.fixture
def llm(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return the ``AsyncLLM`` that stands in for vLLM's; all of them are shut down in the end."""
    for name in ("VLLM_LOGGING_LEVEL", "VLLM_NO_USAGE_STATS"):
        monkeypatch.delenv(name, raising=False)
    fake = fake_vllm.install(monkeypatch)
    yield fake
    assert fake.living == []


@pytest.fixture
def start(llm: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Return a function that starts an engine with some settings."""
    engines = []
    monkeypatch.setattr(
        "transforms.models.captions.vllm_engine.ChatTemplate", lambda *_, **__: _Template()
    )

    def begin(**changes: Any) -> VllmEngine:
        engine = changes.pop("engine", {})
        settings = VllmSettings(
            "tiny",
            str(tmp_path),
            weights_digest(tmp_path),
            engine_json=json.dumps(engine),
            max_tokens=100,
            **changes,
        )
        engines.append(VllmEngine(settings))
        return engines[-1]

    yield begin
    for engine in engines:
        engine.close()


class _Template:
    """The real one reads a processor's files: it has a test of its own."""

    def chat(self, prompt: str, *, has_video: bool) -> str:
        return f"<video>{prompt}" if has_video else prompt


def test_every_answer_is_its_own_window_s(llm: Any, start: Start, tmp_path: Path) -> None:
    engine = start(slots=4)
    llm.misbehave = staticmethod(lambda name: "slow" if name.startswith("1") else None)
    pairs = [asked(tmp_path, f"{number}", seed=number) for number in range(40)]
    futures = [engine.submit(request) for request, _ in pairs]
    answers = [future.result(30) for future in futures]
    assert [answer.text for answer in answers] == [expected for _, expected in pairs]
    assert {answer.status for answer in answers} == {"success"}
    assert {(answer.prompt_tokens, answer.output_tokens) for answer in answers} == {(100, 7)}
    [running] = llm.living
    assert running.most_at_once == 4, "never more than there are slots"
    assert engine.slots == 4


def test_what_vllm_is_given(llm: Any, start: Start, tmp_path: Path) -> None:
    engine = start(
        engine={"max_model_len": 32768, "compilation_config": {"cudagraph_mode": "PIECEWISE"}},
        sampling=Sampling(temperature=0.5, min_tokens=300),
    )
    request, _ = asked(tmp_path, "w")
    engine.submit(request).result(30)
    [running] = llm.living
    arguments = running.engine_args
    assert (arguments.model, arguments.max_model_len) == (str(tmp_path), 32768)
    assert arguments.compilation_config == {"cudagraph_mode": "PIECEWISE"}
    [(name, prompt, params)] = running.requests
    assert name == "w-0"
    assert prompt["prompt"] == "<video>what is it?"
    [(frames, metadata)] = prompt["multi_modal_data"]["video"]
    assert frames.shape == (4, 28, 56, 3)
    assert metadata == {
        "total_num_frames": 10,
        "fps": 30.0,
        "duration": pytest.approx(1 / 3),
        "frames_indices": [0, 3, 6, 9],
        "video_backend": "opencv",
        "do_sample_frames": False,
    }
    assert (params.max_tokens, params.temperature, params.top_p) == (100, 0.5, 0.001)
    assert params.repetition_penalty == 1.05
    assert params.min_tokens == 100, "no more than max_tokens, which vLLM would refuse"
    assert params.output_kind.name == "FINAL_ONLY"


def test_a_schema_guides_and_one_that_cannot_is_left_out(
    llm: Any, start: Start, tmp_path: Path
) -> None:
    engine = start()
    request, _ = asked(tmp_path, "w")
    guided = dataclasses.replace(request, json_schema='{"type":"object"}')
    assert engine.submit(guided).result(30).status == "success"
    [running] = llm.living
    assert running.requests[0][2].structured_outputs.json == '{"type":"object"}'
    llm.misbehave = staticmethod(lambda _: "reject")
    assert engine.submit(guided).result(30).status == "error"
    llm.misbehave = staticmethod(lambda _: "unguided")
    # Too long a prompt says nothing about the schema: it is tried again until it is that.
    assert [engine.submit(guided).result(30).status for _ in range(2)] == ["success"] * 2
    sent = [params.structured_outputs is not None for _, _, params in running.requests]
    assert sent == [True, True, False, True, False, False]


def test_a_model_that_thinks_first_is_not_guided(llm: Any, start: Start, tmp_path: Path) -> None:
    request, _ = asked(tmp_path, "w")
    guided = dataclasses.replace(request, json_schema='{"type":"object"}')
    assert start(reasons=True).submit(guided).result(30).status == "success"
    [running] = llm.living
    assert running.requests[0][2].structured_outputs is None


def test_text_alone_can_be_asked(start: Start) -> None:
    answer = start().submit(CaptionRequest("w", "polish this")).result(30)
    assert answer.text == "text polish this"


@pytest.mark.parametrize(
    ("way", "status", "said"),
    [
        ("reject", "error", "w: VLLMValidationError: The prompt (length 40000) is too long"),
        ("fail", "error", "w: RuntimeError: by chance"),
        ("nothing", "error", "w: vLLM ended the request without an answer"),
        ("empty", "error", "w: the caption is empty; raise captioning_max_output_tokens"),
        ("length", "truncated", ""),
        ("think", "success", ""),
    ],
)
def test_what_becomes_of_a_window(
    llm: Any, start: Start, tmp_path: Path, way: str, status: str, said: str
) -> None:
    llm.misbehave = staticmethod(lambda _: way)
    engine = start(reasons=True, retries=2)
    request, expected = asked(tmp_path, "w")
    answer = engine.submit(request).result(30)
    assert (answer.status, answer.message) == (status, said)
    assert answer.text == ("" if status == "error" else expected)
    assert answer.reason == ("exception" if status == "error" else "")
    [running] = llm.living
    assert len(running.requests) == (3 if way == "fail" else 1)


def test_a_request_that_failed_by_chance_is_begun_again(
    llm: Any, start: Start, tmp_path: Path
) -> None:
    llm.misbehave = staticmethod(lambda name: "fail" if name in ("w-0", "w-1") else None)
    request, expected = asked(tmp_path, "w")
    assert start(retries=2).submit(request).result(30).text == expected


def test_a_schema_guides_where_vllm_can(
    llm: Any, start: Start, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    engine = start()
    [running] = llm.living
    request, expected = asked(tmp_path, "w")
    guided = dataclasses.replace(request, json_schema='{"type": "object"}')
    assert engine.submit(guided).result(30).text == expected
    assert running.requests[-1][2].structured_outputs.json == '{"type": "object"}'
    llm.misbehave = staticmethod(lambda _: "unguided")
    assert [engine.submit(guided).result(30).text for _ in range(2)] == [expected] * 2
    assert len(running.requests) == 4, "tried once more, then never again"
    assert "vLLM cannot guide its model by the JSON schema: The grammar" in caplog.text
    thinking = start(reasons=True)
    assert thinking.submit(guided).result(30).text == expected
    assert llm.living[-1].requests[-1][2].structured_outputs is None


def test_a_dead_engine_ends_the_run(llm: Any, start: Start, tmp_path: Path) -> None:
    llm.misbehave = staticmethod(lambda name: "die" if name.startswith("2-") else "slow")
    engine = start(slots=8)
    futures = [engine.submit(asked(tmp_path, f"{number}")[0]) for number in range(8)]
    for future in futures:
        with pytest.raises(EngineGoneError, match="tiny: vLLM's process is gone"):
            future.result(30)
    with pytest.raises(EngineGoneError):
        engine.submit(asked(tmp_path, "later")[0]).result(30)


def test_cancelling_and_closing_make_vllm_forget_requests(
    llm: Any, start: Start, tmp_path: Path
) -> None:
    llm.misbehave = staticmethod(lambda _: "hang")
    engine = start(slots=2)
    futures = [engine.submit(asked(tmp_path, f"{number}")[0]) for number in range(3)]
    [running] = llm.living
    while len(running.requests) < 2:
        time.sleep(0.01)
    first = running.requests[0][0]
    futures[int(first[0])].cancel()
    while len(running.requests) < 3:
        time.sleep(0.01)
    assert running.aborted == [first]
    began_at = time.monotonic()
    engine.close()
    assert time.monotonic() - began_at < 20
    assert len(running.aborted) == 3
    assert wait(futures, 5).not_done == set()
    assert llm.living == []
    assert not [
        one for one in threading.enumerate() if one.name.startswith(("asyncio", "caption-"))
    ]
    engine.close()
    with pytest.raises(RuntimeError, match="closed"):
        engine.submit(asked(tmp_path, "later")[0])


def test_settings_that_a_version_lacks_are_left_out_and_told(
    llm: Any, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    start(engine={"max_model_len": 9, "of_the_future": 1})
    assert "this version of vLLM has no of_the_future; left out" in caplog.text
    assert llm.living[0].engine_args.max_model_len == 9


def test_the_environment_of_vllm(llm: Any, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_WORKER_MULTIPROC_METHOD", "fork")
    monkeypatch.setenv("VLLM_LOGGING_STREAM", "")
    monkeypatch.setenv("NCCL_DEBUG", "INFO")
    start(environment=(("NCCL_DEBUG", "WARN"),))
    assert os.environ["VLLM_WORKER_MULTIPROC_METHOD"] == "fork", "the user's stays"
    assert os.environ["VLLM_NO_USAGE_STATS"] == "1"
    assert os.environ["NCCL_DEBUG"] == "WARN"


def test_a_model_that_cannot_be_loaded_is_told(start: Start, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_text("{}")
    settings = VllmSettings("tiny", str(broken), weights_digest(broken))
    with pytest.raises(PreflightError, match="holds other files of the model tiny"):
        VllmEngine(dataclasses.replace(settings, digest="0"))
    message = r"tiny: vLLM cannot load it \(No available memory for the cache blocks\.\)"
    with pytest.raises(PreflightError, match=message):
        VllmEngine(settings)


def _calls() -> ast.Module:
    return ast.parse(Path(str(vllm_calls.__file__)).read_text())


def _imported() -> set[str]:
    """Return what ``vllm_calls`` imports of vLLM."""
    nodes = [node for node in ast.walk(_calls()) if isinstance(node, ast.ImportFrom)]
    return {
        f"{node.module}.{name.name}"
        for node in nodes
        if (node.module or "").startswith("vllm")
        for name in node.names
    }


@pytest.mark.parametrize("version", RECORD)
def test_what_is_imported_is_there(version: str) -> None:
    # Methods stand behind their class.
    names = {name for key in RECORD[version] for name in (key, key.rpartition(".")[0])}
    # The platform is an object of vllm.platforms: its methods are recorded of its class.
    assert _imported() - {"vllm.platforms.current_platform"} <= names
    assert len(_imported()) == 8
    for method in ("is_cpu", "is_unspecified"):
        assert f"vllm.platforms.interface.Platform.{method}" in RECORD[version]


@pytest.mark.parametrize("version", RECORD)
def test_what_is_called_is_known(version: str) -> None:
    known = RECORD[version]
    sampling = {field.name for field in dataclasses.fields(Sampling)}
    assert {*sampling, "max_tokens", "output_kind", "structured_outputs"} <= set(
        known["vllm.sampling_params.SamplingParams"]
    )
    assert "json" in known["vllm.sampling_params.StructuredOutputsParams"]
    assert "FINAL_ONLY" in known["vllm.sampling_params.RequestOutputKind"]
    engine = "vllm.v1.engine.async_llm.AsyncLLM"
    assert known[f"{engine}.generate"][:3] == ["prompt", "sampling_params", "request_id"]
    assert known[f"{engine}.from_engine_args"][0] == "engine_args"
    assert {"text", "token_ids", "finish_reason"} <= set(known["vllm.outputs.CompletionOutput"])
    assert {"outputs", "prompt_token_ids"} <= set(known["vllm.outputs.RequestOutput.__init__"])


def test_the_stand_in_takes_what_vllm_takes(llm: Any) -> None:
    engine = "vllm.v1.engine.async_llm.AsyncLLM"
    for method in ("from_engine_args", "generate", "shutdown"):
        names = list(inspect.signature(getattr(llm, method)).parameters)
        names = names[1:] if names[0] == "self" else names
        assert names == RECORD[NEWEST][f"{engine}.{method}"][: len(names)]


def test_the_installed_vllm_is_as_it_is_recorded() -> None:
    """Every name and parameter that is used, where vLLM itself is installed."""
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("vllm is not installed; the recorded list was checked")
    for name in _imported():
        module, _, last = name.rpartition(".")
        assert hasattr(importlib.import_module(module), last), name
    params = importlib.import_module("vllm.sampling_params").SamplingParams
    wanted = {*(field.name for field in dataclasses.fields(Sampling)), "max_tokens", "output_kind"}
    assert wanted <= set(inspect.signature(params).parameters)
    engine = importlib.import_module("vllm.v1.engine.async_llm").AsyncLLM
    names = list(inspect.signature(engine.generate).parameters)
    assert names[1:4] == ["prompt", "sampling_params", "request_id"]
