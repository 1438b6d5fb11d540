"""Captions by models in this process: tiny ones with random weights, of real classes."""

from __future__ import annotations

import gc
import json
import os
import shutil
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_packages import NEEDS_TRANSFORMERS

from transforms.models.captions import shared_engine
from transforms.models.captions.engine import CaptionRequest, FramesFile
from transforms.models.captions.settings import Sampling, TransformersSettings
from transforms.models.captions.shared_engine import SharedEngine
from transforms.models.weights_digest import weights_digest
from transforms.records import CaptionAnswer

pytestmark = NEEDS_TRANSFORMERS
KINDS = ["qwen2_5_vl", "qwen3_vl", "llava"]
FREE = Sampling(temperature=1.0, top_p=1.0, min_tokens=0)
TinyModel = Callable[[str], Path]


def settings_for(folder: Path, **changes: Any) -> TransformersSettings:
    values = {"max_tokens": 10, "sampling": Sampling(min_tokens=0), "device": "cpu", **changes}
    return TransformersSettings("tiny", str(folder), weights_digest(folder), **values)


@contextmanager
def engine(folder: Path, **changes: Any) -> Iterator[Any]:
    from transforms.models.captions.transformers_engine import TransformersEngine

    running = TransformersEngine(settings_for(folder, **changes))
    try:
        yield running
    finally:
        running.close()


@pytest.fixture(scope="module")
def requests(tmp_path_factory: pytest.TempPathFactory) -> list[CaptionRequest]:
    """Return three windows of different sizes and lengths, and a question without pictures."""
    folder = tmp_path_factory.mktemp("windows")
    rng = np.random.default_rng(0)
    sizes = [(4, 308, 364), (6, 280, 392), (4, 308, 364)]
    made = []
    for number, size in enumerate(sizes):
        path = folder / f"{number}.npy"
        np.save(path, rng.integers(0, 256, (*size, 3), dtype=np.uint8))
        numbers = tuple(range(0, 5 * size[0], 5))
        prompt = "Describe the video." if number else "What moves in this video, and how?"
        frames = FramesFile(str(path), numbers, 25.0)
        made.append(CaptionRequest(f"clip_{number}", prompt, frames=frames))
    return [*made, CaptionRequest("clip_text", "Say it in other words.")]


def answers(running: Any, asked: list[CaptionRequest]) -> list[CaptionAnswer]:
    futures = [running.submit(request) for request in asked]
    return [future.result(120) for future in futures]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sampling", [Sampling(), FREE], ids=["upstream's", "free"])
def test_an_answer_does_not_depend_on_who_shares_the_batch(
    kind: str, sampling: Sampling, requests: list[CaptionRequest], tiny_model: TinyModel
) -> None:
    with engine(tiny_model(kind), sampling=sampling, batch_size=4) as together:
        batch = answers(together, requests)
    with engine(tiny_model(kind), sampling=sampling, batch_size=1) as alone:
        assert answers(alone, requests[::-1])[::-1] == batch
    assert {answer.status for answer in batch} == {"truncated"}
    assert {answer.output_tokens for answer in batch} == {10}
    assert len({answer.text for answer in batch}) == 4


@pytest.mark.parametrize("kind", ["qwen2_5_vl", "qwen3_vl"])
def test_the_answer_is_what_transformers_alone_says(
    kind: str, requests: list[CaptionRequest], tiny_model: TinyModel
) -> None:
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor

    folder = tiny_model(kind)
    processor = AutoProcessor.from_pretrained(folder)
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
    with engine(folder, sampling=Sampling(temperature=0, min_tokens=4)) as running:
        found = answers(running, requests[:2])
    for request, answer in zip(requests, found, strict=False):
        assert request.frames is not None
        frames = np.load(request.frames.path)
        content = [{"type": "video"}, {"type": "text", "text": request.prompt}]
        total = request.frames.numbers[-1] + 1
        metadata = {
            "total_num_frames": total,
            "fps": 25.0,
            "duration": total / 25,
            "frames_indices": list(request.frames.numbers),
        }
        inputs = processor(
            text=processor.apply_chat_template(
                [{"role": "user", "content": content}], add_generation_prompt=True
            ),
            videos=[frames],
            video_metadata=[metadata],
            do_sample_frames=False,
            return_tensors="pt",
        )
        said = model.generate(
            **inputs,
            do_sample=False,
            repetition_penalty=1.05,
            min_new_tokens=4,
            max_new_tokens=10,
        )
        num_prompt = inputs["input_ids"].shape[1]
        text = processor.decode(said[0, num_prompt:], skip_special_tokens=True).strip()
        assert (answer.text, answer.prompt_tokens) == (text, num_prompt)


def test_every_frame_and_its_time_reach_the_model(
    requests: list[CaptionRequest], tiny_model: TinyModel, tmp_path: Path
) -> None:
    plain = requests[0]
    assert plain.frames is not None
    frames = np.load(plain.frames.path)
    changed = []
    for place in range(len(frames)):
        other = frames.copy()
        other[place] = 0
        np.save(tmp_path / f"{place}.npy", other)
        changed.append(FramesFile(str(tmp_path / f"{place}.npy"), plain.frames.numbers, 25.0))
    changed.append(FramesFile(plain.frames.path, (0, 50, 100, 150), 25.0))
    # Of one name, so that all draw alike.
    name = plain.request_id
    asked = [plain, *(CaptionRequest(name, plain.prompt, frames=seen) for seen in changed)]
    with engine(tiny_model("qwen3_vl"), sampling=FREE, max_tokens=30) as running:
        first, *others = answers(running, asked)
    texts = {answer.text for answer in others}
    assert first.text not in texts
    assert len(texts) == len(others)


def ending(folder: Path, target: Path, ends: list[int]) -> Path:
    """Return a copy of a model that ends its answer with any of these tokens."""
    shutil.copytree(folder, target)
    path = target / "generation_config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "eos_token_id": ends}))
    return target


def test_an_answer_that_ends_by_itself_is_a_success(
    requests: list[CaptionRequest], tiny_model: TinyModel, tmp_path: Path
) -> None:
    # Every second token ends the answer: some end early, none before three tokens.
    folder = ending(tiny_model("qwen2_5_vl"), tmp_path / "m", list(range(0, 350, 2)))
    sampling = Sampling(temperature=1.0, top_p=1.0, min_tokens=3)
    with engine(folder, sampling=sampling, max_tokens=30) as running:
        found = answers(running, requests)
    assert {answer.status for answer in found} == {"success"}
    counts = [answer.output_tokens for answer in found]
    # The token that ends is counted; three come before it.
    assert min(counts) >= 4
    assert max(counts) < 30
    assert len(set(counts)) > 1


def test_what_one_window_lacks_is_its_own_matter(
    requests: list[CaptionRequest], tiny_model: TinyModel, tmp_path: Path
) -> None:
    gone = FramesFile(str(tmp_path / "gone.npy"), (0, 1, 2, 3), 25.0)
    (tmp_path / "half.npy").write_bytes(b"\x93NUMPY")
    half = FramesFile(str(tmp_path / "half.npy"), (0, 1, 2, 3), 25.0)
    np.save(tmp_path / "thin.npy", np.zeros((4, 20, 4020, 3), np.uint8))
    thin = FramesFile(str(tmp_path / "thin.npy"), (0, 1, 2, 3), 25.0)
    bad = [
        CaptionRequest(name, "?", frames=f) for name, f in (("g", gone), ("h", half), ("t", thin))
    ]
    folder = tiny_model("qwen2_5_vl")
    with engine(folder) as running:
        expected = answers(running, requests)
        mixed = answers(running, [requests[0], bad[0], requests[1], *bad[1:], *requests[2:]])
    assert [mixed[place] for place in (0, 2, 5, 6)] == expected
    for place, name in ((1, "g"), (3, "h"), (4, "t")):
        assert (mixed[place].status, mixed[place].reason) == ("error", "exception")
        assert mixed[place].message.startswith(f"{name}: ")


def test_a_window_that_is_too_long_for_the_model_says_so(
    requests: list[CaptionRequest], tmp_path: Path
) -> None:
    from tiny_models import qwen2_5_vl

    folder = qwen2_5_vl(tmp_path / "short", context=400)
    with engine(folder, max_tokens=None) as running:
        short, long = answers(running, [requests[0], requests[1]])
    # What the context leaves is used up: there is no other limit.
    assert short.status == "truncated"
    assert short.prompt_tokens + short.output_tokens == 400
    assert long.status == "error"
    assert "the model takes 400 with its answer; lower captioning_sampling_fps" in long.message


def test_penalties_and_limits_of_choice_are_vllm_s(
    requests: list[CaptionRequest], tiny_model: TinyModel
) -> None:
    ask = requests[:1]
    texts = {}
    for name, sampling in {
        "plain": Sampling(temperature=0, repetition_penalty=1.0, min_tokens=0),
        "cold": Sampling(temperature=1e-4, top_p=1.0, repetition_penalty=1.0, min_tokens=0),
        "one": Sampling(temperature=5, top_p=1.0, top_k=1, repetition_penalty=1.0, min_tokens=0),
        "likely": Sampling(
            temperature=5, top_p=1.0, min_p=1.0, repetition_penalty=1.0, min_tokens=0
        ),
        "narrow": Sampling(temperature=5, top_p=1e-6, repetition_penalty=1.0, min_tokens=0),
        "hot": Sampling(temperature=5, top_p=1.0, repetition_penalty=1.0, min_tokens=0),
        "present": Sampling(
            temperature=0, repetition_penalty=1.0, presence_penalty=1e6, min_tokens=0
        ),
        "frequent": Sampling(
            temperature=0, repetition_penalty=1.0, frequency_penalty=1e6, min_tokens=0
        ),
    }.items():
        with engine(tiny_model("qwen2_5_vl"), sampling=sampling) as running:
            [answer] = answers(running, ask)
        texts[name] = answer.text
    assert texts["plain"] == texts["cold"] == texts["one"] == texts["likely"] == texts["narrow"]
    assert texts["hot"] != texts["plain"]
    # No token twice, whichever of the two forbids it.
    assert texts["present"] == texts["frequent"]
    assert texts["present"] != texts["plain"]


def test_a_model_that_thinks_aloud_has_its_answer_kept(
    requests: list[CaptionRequest], tiny_model: TinyModel
) -> None:
    # Noise holds no thoughts: all of it is the answer, as without.
    folder = tiny_model("qwen2_5_vl")
    with engine(folder, reasons=True) as thinking, engine(folder) as plain:
        assert answers(thinking, requests[:1]) == answers(plain, requests[:1])


def test_closing_frees_the_model_and_ends_the_threads(
    requests: list[CaptionRequest], tiny_model: TinyModel
) -> None:
    from transforms.models.captions.transformers_engine import TransformersEngine

    before = set(threading.enumerate())
    running = TransformersEngine(settings_for(tiny_model("qwen2_5_vl"), max_tokens=20_000))
    model = weakref.ref(running._model._model)
    futures = [running.submit(requests[place % 4]) for place in range(40)]
    running.close()
    running.close()
    assert set(threading.enumerate()) == before
    for future in futures:
        assert future.result(0).message.endswith("the run ends")
    with pytest.raises(RuntimeError, match="closed"):
        running.submit(requests[0])
    del running
    gc.collect()
    assert model() is None


def test_threads_of_a_process_share_one_model(
    requests: list[CaptionRequest], tiny_model: TinyModel
) -> None:
    from transforms.models.captions.transformers_engine import TransformersEngine

    settings = settings_for(tiny_model("qwen2_5_vl"))
    loaded = []

    def load() -> TransformersEngine:
        loaded.append(TransformersEngine(settings))
        return loaded[-1]

    def work(_: int) -> str:
        engine = SharedEngine(settings, load, slots=settings.slots)
        shared_engine.use()
        try:
            return engine.submit(requests[0]).result(120).text
        finally:
            barrier.wait(120)
            shared_engine.release()

    barrier = threading.Barrier(8)
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(work, range(8)))) == 1
    assert len(loaded) == 1
    assert shared_engine.num_loaded() == 0
    with pytest.raises(RuntimeError, match="closed"):
        loaded[0].submit(requests[0])
    # A step that begins only now loads it again.
    barrier = threading.Barrier(1)
    work(0)
    assert len(loaded) == 2


_LITTLE_MEMORY = """
import json, resource, sys
from transforms.models.captions.engine import CaptionRequest, FramesFile
from transforms.models.captions.settings import TransformersSettings
from transforms.models.captions.transformers_engine import TransformersEngine
from transforms.models.weights_digest import weights_digest
from pathlib import Path
folder, small, large = map(Path, sys.argv[1:])
settings = TransformersSettings(
    "m", str(folder), weights_digest(folder), max_tokens=4, batch_size=3, device="cpu"
)
engine = TransformersEngine(settings)
shown = {
    "small": FramesFile(str(small), (0, 1, 2, 3), 25.0),
    "large": FramesFile(str(large), tuple(range(64)), 25.0),
}
engine.submit(CaptionRequest("small", "?", frames=shown["small"])).result(60)
[pages] = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmSize")]
limit = int(pages) * 1024 + 400_000_000
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
asked = [CaptionRequest(name, "?", frames=shown[name]) for name in ("small", "large", "small")]
answers = [future.result(120) for future in [engine.submit(request) for request in asked]]
print(json.dumps([(answer.status, answer.message) for answer in answers]))
engine.close()
"""


def test_a_batch_without_memory_is_answered_one_by_one(
    requests: list[CaptionRequest], tiny_model: TinyModel, tmp_path: Path
) -> None:
    # As numbers of four bytes the large window's pixels take 433 MB.
    assert requests[0].frames is not None
    large = tmp_path / "large.npy"
    np.save(large, np.zeros((64, 560, 1008, 3), np.uint8))
    arguments = (tiny_model("qwen2_5_vl"), requests[0].frames.path, large)
    ended = subprocess.run(
        [sys.executable, "-c", _LITTLE_MEMORY, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr
    [first, failed, last] = json.loads(ended.stdout)
    assert first == last == ["truncated", ""]
    assert failed[0] == "error"
    assert failed[1].startswith("large: ")
    assert "memory" in failed[1]


_THREADS = """
import threading, torch
from transforms.models.captions.transformers_engine import _use_cores
torch.set_num_threads(1)
found = []
def look():
    found.append(torch.get_num_threads())
def work():
    _use_cores()
    other = threading.Thread(target=look)
    other.start()
    other.join()
    look()
thread = threading.Thread(target=work)
thread.start()
thread.join()
look()
print(found)
"""


def test_the_model_uses_all_cores_and_other_threads_keep_what_they_have() -> None:
    # Where shots are detected, every other thread must have exactly one.
    variables = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    ended = subprocess.run(
        [sys.executable, "-c", _THREADS],
        env={**variables, "BEAM_CURATE_SLOTS": "3"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.strip() == "[1, 3, 1]"


@pytest.mark.gpu
def test_on_a_gpu_a_batch_that_is_too_much_is_answered_one_by_one_and_memory_is_given_back(
    requests: list[CaptionRequest], tiny_model: TinyModel, tmp_path: Path
) -> None:
    import torch

    if not torch.cuda.is_available():
        if os.environ.get("REQUIRE_GPU") == "1":
            pytest.fail("torch finds no GPU, and REQUIRE_GPU=1")
        pytest.skip("torch finds no GPU")
    # What libraries keep for themselves is taken once.
    with engine(tiny_model("qwen2_5_vl"), device="cuda") as running:
        expected = answers(running, requests)
    before = torch.cuda.memory_allocated()
    with engine(tiny_model("qwen2_5_vl"), device="auto", batch_size=4) as running:
        assert running._model.device == "cuda"
        assert torch.cuda.memory_allocated() > before
        found = answers(running, requests)
        assert [answer.status for answer in found] == [answer.status for answer in expected]
        rng = np.random.default_rng(1)
        np.save(tmp_path / "large.npy", rng.integers(0, 256, (64, 560, 1008, 3), dtype=np.uint8))
        large = FramesFile(str(tmp_path / "large.npy"), tuple(range(64)), 25.0)
        share = (torch.cuda.memory_reserved() + (1 << 30)) / torch.cuda.mem_get_info()[1]
        torch.cuda.set_per_process_memory_fraction(share)
        try:
            mixed = answers(running, [requests[0], CaptionRequest("large", "?", frames=large)])
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0)
        assert mixed[0].status == "truncated"
        assert mixed[1].status in ("error", "truncated")
    gc.collect()
    assert torch.cuda.memory_allocated() <= before
