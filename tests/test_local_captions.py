"""The whole pipeline with captions by a tiny model in the worker. Needs torch."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from kill_harness import MULTI
from make_video import VideoSpec, make_video
from model_packages import NEEDS_TRANSFORMERS
from run_command import Curated

from transforms.models.captions import shared_engine
from transforms.models.captions.engine import CaptionRequest, FramesFile
from transforms.models.captions.settings import TransformersSettings
from transforms.models.weights_digest import weights_digest

pytestmark = NEEDS_TRANSFORMERS
TinyModel = Callable[[str], Path]
CUT = (
    *("--fixed_stride_split_duration", "2", "--fixed_stride_min_clip_length_s", "0.1"),
    *("--captioning_window_size", "32", "--captioning_remainder_threshold", "8"),
    *("--max_failed_share", "0.5"),
)
ASK = ("--generate_captions", "true", "--captioning_max_output_tokens", "6")
PROMPT = "What happens in {source_name}?"


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return two videos, the second with a last clip of three frames, and what is no video."""
    folder = tmp_path_factory.mktemp("local") / "raw"
    folder.mkdir()
    make_video(folder / "0.mp4", VideoSpec(seconds=5, size=(64, 48)))
    make_video(folder / "1.mp4", VideoSpec(seconds=4.12, size=(96, 64), b_frames=2))
    (folder / "text.mp4").write_text("no video")
    return folder


@pytest.fixture
def no_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the hub's cache an empty folder, and return it."""
    cache = tmp_path / "hub"
    cache.mkdir()
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.setenv(name, str(cache))
    return cache


def options(folder: Path) -> tuple[str, ...]:
    return (*CUT, *ASK, "--captioning_model", str(folder), "--captioning_prompt_text", PROMPT)


def loads(caplog: pytest.LogCaptureFixture) -> int:
    return sum("caption model" in record.message for record in caplog.records)


def check_captions(run: Curated, folder: Path, scratch: Path) -> int:
    """Ask the model about every window's own frames, taken out here; return how many there are."""
    from transforms.models.captions.transformers_engine import TransformersEngine

    settings = TransformersSettings(
        "m", str(folder), weights_digest(folder), max_tokens=6, batch_size=1, device="cpu"
    )
    engine = TransformersEngine(settings)
    num_windows = 0
    for clip_id, meta in run.metas().items():
        with av.open(str(run.out / "clips" / f"{clip_id}.mp4")) as container:
            frames = list(container.decode(video=0))
        assert len(frames) == meta["num_frames"]
        for window in meta["windows"]:
            first, last = window["start_frame"], window["end_frame"]
            count = max(4, 2 * round((last + 1 - first) / 25 * 2 / 2))
            numbers = np.linspace(first, last, count).round().astype(int)
            # 64x48 and 96x64, enlarged to 128 * 28 * 28 pixels or more.
            pixels = [
                frames[number]
                .reformat(392, 280, format="rgb24", interpolation=0xC0004)
                .to_ndarray()
                for number in numbers
            ]
            np.save(scratch / "w.npy", np.stack(pixels))
            seen = FramesFile(str(scratch / "w.npy"), tuple(map(int, numbers - first)), 25.0)
            prompt = f"What happens in {Path(meta['source_video']).name}?"
            request = CaptionRequest(f"{clip_id}_{first}_{last}", prompt, frames=seen)
            answer = engine.submit(request).result(60)
            assert window["qwen_caption"] == answer.text
            assert window["caption_status"] == answer.status == "truncated"
            assert window["qwen_prompt_tokens"] == answer.prompt_tokens
            assert window["qwen_output_tokens"] == 6
            num_windows += 1
    engine.close()
    return num_windows


def test_every_caption_is_on_its_own_window_and_a_second_run_loads_no_model(
    raw: Path, tmp_path: Path, tiny_model: TinyModel, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="transforms.models")
    folder = tiny_model("qwen2_5_vl")
    run = Curated.below(tmp_path, raw)
    assert run.curate(*options(folder)) == 3
    assert loads(caplog) == 1
    assert shared_engine.num_loaded() == 0
    metas = run.metas().values()
    # 0.mp4: clips of 50, 50 and 25 frames; 1.mp4: of 50, 50 and 3, which make no window.
    assert sorted((meta["num_frames"], len(meta["windows"])) for meta in metas) == [
        (3, 0),
        (25, 1),
        *[(50, 2)] * 4,
    ]
    texts = {window["qwen_caption"] for meta in metas for window in meta["windows"]}
    assert len(texts) >= 8
    caplog.clear()
    assert check_captions(run, folder, tmp_path) == 9
    before = run.trees()
    caplog.clear()
    assert run.curate(*options(folder)) == 3
    assert loads(caplog) == 0
    assert run.trees() == before


def test_several_processes_give_the_same_bytes(
    raw: Path, tmp_path: Path, tiny_model: TinyModel
) -> None:
    folder = tiny_model("qwen3_vl")
    one = Curated.below(tmp_path / "one", raw)
    several = Curated.below(tmp_path / "several", raw)
    assert one.curate(*options(folder)) == 3
    assert several.curate(*options(folder), *MULTI) == 3
    assert several.trees() == one.trees()
    assert check_captions(several, folder, tmp_path) == 9


def test_captions_turned_on_later_leave_the_clips_alone(
    raw: Path, tmp_path: Path, tiny_model: TinyModel
) -> None:
    folder = tiny_model("qwen2_5_vl")
    run = Curated.below(tmp_path, raw)
    assert run.curate(*CUT, "--generate_captions", "false") == 3
    before = {path: path.stat().st_mtime_ns for path in (run.out / "clips").iterdir()}
    assert run.curate(*options(folder)) == 3
    assert {path: path.stat().st_mtime_ns for path in (run.out / "clips").iterdir()} == before
    assert check_captions(run, folder, tmp_path) == 9


def test_a_model_that_knows_pictures_alone_captions_too(
    raw: Path, tmp_path: Path, tiny_model: TinyModel
) -> None:
    folder = tiny_model("llava")
    run = Curated.below(tmp_path, raw)
    assert run.curate(*options(folder)) == 3
    assert check_captions(run, folder, tmp_path) == 9


def test_a_context_that_is_too_short_is_a_status_and_the_clip_stays(
    raw: Path, tmp_path: Path
) -> None:
    from tiny_models import qwen2_5_vl

    folder = qwen2_5_vl(tmp_path / "model", context=128)
    run = Curated.below(tmp_path, raw)
    assert run.curate(*options(folder)) == 3
    metas = run.metas()
    windows = [window for meta in metas.values() for window in meta["windows"]]
    assert {window["caption_status"] for window in windows} == {"error"}
    assert not any("qwen_caption" in window for window in windows)
    assert {path.stem for path in (run.out / "clips").iterdir()} == set(metas)
    assert len(metas) == 6


def test_other_weights_are_another_fingerprint_and_a_moved_folder_is_not(
    raw: Path, tmp_path: Path, tiny_model: TinyModel, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(tiny_model("qwen2_5_vl"), tmp_path / "first")
    run = Curated.below(tmp_path, raw)
    assert run.curate(*options(folder)) == 3
    before = run.trees()
    moved = folder.rename(tmp_path / "second")
    assert run.curate(*options(moved), "--captioning_device", "cpu") == 3
    assert run.trees().keys() == before.keys()
    other = tmp_path / "third"
    shutil.copytree(tiny_model("qwen3_vl"), other)
    capsys.readouterr()
    assert run.curate(*options(other)) == 2
    assert "--accept_changes" in capsys.readouterr().err


def wrong_models(tmp_path: Path, tiny: Path) -> dict[str, tuple[tuple[str, ...], str]]:
    """Return options that cannot work, and what must be said about each."""
    text = tmp_path / "text"
    text.mkdir()
    (text / "config.json").write_text(json.dumps({"model_type": "llama"}))
    mute = tmp_path / "mute"
    shutil.copytree(tiny, mute)
    (mute / "chat_template.jinja").unlink()
    own_code = tmp_path / "own"
    shutil.copytree(tiny, own_code)
    config = json.loads((own_code / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.OwnConfig"}}
    (own_code / "config.json").write_text(json.dumps(config))
    shutil.copyfile(tiny / "model.safetensors", text / "model.safetensors")
    cut = tmp_path / "cut"
    shutil.copytree(tiny, cut)
    weights = cut / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    (tmp_path / "empty").mkdir()
    model = "--captioning_model"
    return {
        "weights absent": ((), "weights of qwen are not on this machine"),
        "how to get them": ((), "python -m beam_pipeline models pull qwen"),
        "unknown on the hub": ((model, "nobody/nothing"), "models pull nobody/nothing"),
        "wrong revision": ((model, "a/b", "--captioning_model_revision", "0123"), "not 0123"),
        "no such folder": ((model, str(tmp_path / "gone")), "there is no such folder"),
        "no model in it": ((model, str(tmp_path / "empty")), "config.json missing"),
        "half a file": ((model, str(cut)), "model.safetensors is damaged or cut off"),
        "no vision": ((model, str(text)), "a model of type llama cannot caption"),
        "no template": ((model, str(mute)), "has no chat template"),
        "its own code": ((model, str(own_code)), "allow it with --trust_remote_code"),
        "no gpu": ((model, str(tiny), "--captioning_device", "cuda"), "there is no GPU"),
    }


CASES = [
    *("weights absent", "how to get them", "unknown on the hub", "wrong revision"),
    *("no such folder", "no model in it", "half a file", "no vision", "no template"),
    *("its own code", "no gpu"),
]


@pytest.mark.parametrize("case", CASES)
def test_a_model_that_cannot_caption_is_told_before_the_start(
    case: str,
    raw: Path,
    tmp_path: Path,
    tiny_model: TinyModel,
    no_hub: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import torch

    if case == "no gpu" and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    commit = no_hub / "models--a--b" / "snapshots" / "fedcba"
    shutil.copytree(tiny_model("qwen2_5_vl"), commit)
    wrong, said = wrong_models(tmp_path, tiny_model("qwen2_5_vl"))[case]
    run = Curated.below(tmp_path, raw)
    assert run.curate(*CUT, *ASK, *wrong) == 1
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told
    assert not run.out.exists()


def test_auto_captions_where_the_weights_are_and_says_why_where_not(
    raw: Path,
    tmp_path: Path,
    tiny_model: TinyModel,
    no_hub: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = Curated.below(tmp_path, raw)
    auto = (*CUT, *ASK[2:], "--captioning_prompt_text", PROMPT)
    assert run.curate(*auto) == 3
    off = "generate_captions: auto is off here (weights of qwen are not on this machine)"
    assert off in capsys.readouterr().err
    assert not any("caption_status" in str(meta) for meta in run.metas().values())
    # The hub's cache gets what upstream's default names: the catalogue's own commit.
    from transforms.models.catalogue import entry

    found = entry("qwen", "caption")
    commit = no_hub / "models--Qwen--Qwen2.5-VL-7B-Instruct" / "snapshots" / str(found.revision)
    shutil.copytree(tiny_model("qwen2_5_vl"), commit)
    assert run.curate(*auto) == 3
    assert "generate_captions: auto is on here (qwen is here)" in capsys.readouterr().err
    assert check_captions(run, tiny_model("qwen2_5_vl"), tmp_path) == 9
