"""A real, tiny text model in this process: batches, limits, one per process, freed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from model_packages import NEEDS_TRANSFORMERS

from transforms.errors import PreflightError
from transforms.models.captions import shared_engine
from transforms.models.captions.chain.futures import answered
from transforms.models.captions.chain.settings import EnhanceSettings
from transforms.models.captions.engine import CaptionEngine, CaptionRequest, EngineGoneError
from transforms.models.captions.settings import TextModelSettings
from transforms.models.weights_digest import weights_digest
from transforms.records import CaptionAnswer

pytestmark = NEEDS_TRANSFORMERS
PROMPTS = [
    "Rewrite: a dog",
    "Rewrite: a person walks a dog in the park while cars drive past on a wet street",
    "Rewrite: 一只狗跑过公园",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a tiny model that takes 256 tokens."""
    from tiny_models import qwen2

    return qwen2(tmp_path_factory.mktemp("text") / "tiny", context=256)


def settings(folder: Path, *, slots: int = 4, max_tokens: int | None = 12) -> TextModelSettings:
    digest = weights_digest(folder)
    return TextModelSettings("m", str(folder), digest, max_tokens=max_tokens, slots=slots)


@pytest.fixture
def engine(folder: Path) -> Iterator[CaptionEngine]:
    from transforms.models.captions.text_engine import TextEngine

    made = TextEngine(settings(folder))
    yield made
    made.close()


def ask(engine: CaptionEngine, prompts: list[str]) -> list[CaptionAnswer]:
    futures = [engine.submit(CaptionRequest(str(n), text)) for n, text in enumerate(prompts)]
    return [future.result(60) for future in futures]


def test_an_answer_depends_on_its_prompt_alone(folder: Path, engine: CaptionEngine) -> None:
    from transforms.models.captions.text_engine import TextEngine

    together = ask(engine, PROMPTS * 2)
    assert {answer.status for answer in together} <= {"success", "truncated"}
    assert len({answer.text for answer in together}) == len(PROMPTS)
    assert together[:3] == together[3:]
    alone = TextEngine(settings(folder, slots=1))
    assert [one.text for one in ask(alone, PROMPTS)] == [one.text for one in together[:3]]
    alone.close()
    assert [one.prompt_tokens for one in together[:3]] == [num_tokens(folder, p) for p in PROMPTS]
    assert all(0 < one.output_tokens <= 12 for one in together)


def num_tokens(folder: Path, prompt: str) -> int:
    """Return the tokens of a prompt as the model's own chat template puts it."""
    import transformers

    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(folder)
    chat = f"<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n"
    return len(tokenizer(chat, add_special_tokens=False)["input_ids"])


def test_a_prompt_that_is_too_long_fails_alone(engine: CaptionEngine) -> None:
    first, second, third = ask(engine, [PROMPTS[0], "dog " * 400, PROMPTS[1]])
    assert {first.status, third.status} <= {"success", "truncated"}
    assert (second.status, second.reason) == ("error", "exception")
    assert second.message.startswith("1: ValueError: the prompt has ")
    assert second.message.endswith("tokens, the model takes 256")


def test_without_a_limit_the_context_is_one(folder: Path) -> None:
    from transforms.models.captions.text_engine import TextEngine

    engine = TextEngine(settings(folder, max_tokens=None))
    [answer] = ask(engine, PROMPTS[:1])
    engine.close()
    total = answer.prompt_tokens + answer.output_tokens
    assert total == 256 if answer.status == "truncated" else total <= 256


def test_a_closed_engine_takes_nothing_and_leaves_nobody_waiting(folder: Path) -> None:
    from transforms.models.captions.text_engine import TextEngine

    engine = TextEngine(settings(folder, slots=1))
    futures = [engine.submit(CaptionRequest("w", PROMPTS[0])) for _ in range(20)]
    engine.close()
    assert all(future.done() for future in futures)
    with pytest.raises(RuntimeError, match="closed"):
        engine.submit(CaptionRequest("w", PROMPTS[0]))


def test_closing_waits_for_no_long_text(tmp_path: Path) -> None:
    from tiny_models import qwen2

    from transforms.models.captions.text_engine import TextEngine

    engine = TextEngine(settings(qwen2(tmp_path / "long", context=8192), max_tokens=None))
    future = engine.submit(CaptionRequest("w", PROMPTS[0]))
    while not future.running():
        time.sleep(0.01)
    started = time.monotonic()
    engine.close()
    assert time.monotonic() - started < 3
    assert future.result(0).message == "the run ends"


def test_a_gpu_that_failed_ends_the_run(
    engine: CaptionEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    def fail(*_: Any, **__: Any) -> None:
        raise errors.pop()

    errors = [RuntimeError("CUDA error: an illegal memory access was encountered\nmore")]
    monkeypatch.setattr(engine._model, "generate", fail)
    with pytest.raises(EngineGoneError, match="the GPU failed: CUDA error: an illegal"):
        ask(engine, PROMPTS[:1])
    # Memory that does not suffice for one text may do for the next.
    errors = [torch.OutOfMemoryError("CUDA out of memory")]
    assert ask(engine, PROMPTS[:1])[0].status == "error"


def test_one_model_per_process_beside_the_one_that_captions(folder: Path) -> None:
    before = shared_engine.num_loaded()
    shared_engine.use()
    try:
        first = EnhanceSettings("qwen_lm", "{caption}", settings(folder)).load()
        second = EnhanceSettings("qwen_lm", "{caption}", settings(folder)).load()
        assert ask(first, PROMPTS[:1]) == ask(second, PROMPTS[:1])
        assert shared_engine.num_loaded() == before + 1
        captioner = shared_engine.SharedEngine("c", _Silent, slots=1)
        assert ask(captioner, PROMPTS[:1]) == [CaptionAnswer("skipped")]
        assert shared_engine.num_loaded() == before + 2
    finally:
        shared_engine.release()
    assert shared_engine.num_loaded() == 0


class _Silent:
    slots = 1

    def submit(self, request: CaptionRequest) -> Future[CaptionAnswer]:
        return answered(CaptionAnswer("skipped"))

    def close(self) -> None:
        pass


def test_a_folder_without_a_text_model(tmp_path: Path) -> None:
    from transforms.models.captions.text_engine import TextEngine

    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(PreflightError, match="no text model can be loaded"):
        TextEngine(settings(tmp_path))


def test_code_beside_the_weights_does_not_run_and_nobody_is_asked(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Left to itself, transformers asks at the terminal and takes a yes."""
    import io
    import shutil

    from beam_pipeline.models.text_models import _check
    from transforms.models.captions.text_engine import TextEngine

    own = Path(shutil.copytree(folder, tmp_path / "own"))
    config = json.loads((own / "config.json").read_text())
    names = {"AutoConfig": "code.Config", "AutoModelForCausalLM": "code.Model"}
    config |= {"model_type": "unheard-of", "auto_map": names}
    (own / "config.json").write_text(json.dumps(config))
    (own / "code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    for load in (lambda: _check(str(own)), lambda: TextEngine(settings(own))):
        monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
        with pytest.raises(PreflightError):
            load()
    assert not (tmp_path / "ran").exists()
