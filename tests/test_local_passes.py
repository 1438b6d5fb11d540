"""Second pass and enhancement by tiny models in the worker, through the whole pipeline."""

from __future__ import annotations

from pathlib import Path

import pytest
from make_video import VideoSpec, make_video
from model_packages import NEEDS_TRANSFORMERS
from run_command import Curated

from transforms.models.captions import shared_engine
from transforms.models.captions.engine import CaptionRequest
from transforms.models.captions.settings import TextModelSettings
from transforms.models.weights_digest import weights_digest

pytestmark = NEEDS_TRANSFORMERS
CUT = (
    *("--fixed_stride_split_duration", "2", "--fixed_stride_min_clip_length_s", "1"),
    *("--captioning_window_size", "32", "--captioning_remainder_threshold", "8"),
)
TOKENS, LM_TOKENS = 6, 12


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Return a folder with a video, a model that captions and one that writes text."""
    from tiny_models import qwen2, qwen2_5_vl

    root = tmp_path_factory.mktemp("passes")
    (root / "raw").mkdir()
    make_video(root / "raw" / "a.mp4", VideoSpec(seconds=4, size=(64, 48)))
    return root / "raw", qwen2_5_vl(root / "vlm"), qwen2(root / "lm", num_ends=100)


def asking(vlm: Path, *options: str) -> tuple[str, ...]:
    return (
        *CUT,
        *("--generate_captions", "true", "--captioning_model", str(vlm)),
        *("--captioning_max_output_tokens", str(TOKENS), "--captioning_prompt_text", "What?"),
        *options,
    )


def test_both_passes_and_the_text_model_in_one_worker(
    folders: tuple[Path, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw, vlm, lm = folders
    run = Curated.below(tmp_path, raw)
    rewriting = (
        *("--enhance_captions", "--enhance_captions_model", str(lm)),
        *("--enhance_captions_prompt_text", "Rewrite: {caption}"),
        *("--enhance_captions_max_output_tokens", str(LM_TOKENS)),
    )
    assert run.curate(*asking(vlm, "--qwen_stage2_caption", *rewriting)) == 0
    assert shared_engine.num_loaded() == 0, "both models are freed"
    table = capsys.readouterr().err
    assert "enhancement" in table
    once = Curated.below(tmp_path / "once", raw)
    assert once.curate(*asking(vlm)) == 0
    first = captions(once)
    second = captions(run)
    assert first.keys() == second.keys()
    assert len(first) == 4
    # Noise: some may be empty or cut off.
    texts = rewritten(lm, [str(window["qwen_caption"]) for window in second.values()])
    assert any(texts)
    for (name, window), text in zip(second.items(), texts, strict=True):
        # Cut off at the limit as the first is: it replaces it.
        assert window["caption_status"] == first[name]["caption_status"] == "truncated"
        assert window["qwen_caption"] != first[name]["qwen_caption"]
        assert window["qwen_output_tokens"] == 2 * TOKENS
        assert window["qwen_prompt_tokens"] > 2 * first[name]["qwen_prompt_tokens"]
        if text:
            assert window["qwen_lm_enhanced_caption"] == text
        else:
            # What is empty or cut off does not replace a caption.
            assert "qwen_lm_enhanced_caption" not in window
            assert window["enhancement_failure_message"]
        assert window["enhancement_output_tokens"] <= LM_TOKENS


def captions(run: Curated) -> dict[str, dict[str, object]]:
    """Return every window's metadata by clip and frames."""
    return {
        f"{clip_id}_{window['start_frame']}": window
        for clip_id, meta in run.metas().items()
        for window in meta["windows"]
    }


def rewritten(lm: Path, said: list[str]) -> list[str]:
    """Return what the text model makes of captions here; empty where it is cut off."""
    from transforms.models.captions.text_engine import TextEngine

    settings = TextModelSettings("m", str(lm), weights_digest(lm), max_tokens=LM_TOKENS, slots=1)
    engine = TextEngine(settings)
    futures = [engine.submit(CaptionRequest("w", f"Rewrite: {text}")) for text in said]
    answers = [future.result(60) for future in futures]
    engine.close()
    return [answer.text if answer.status == "success" else "" for answer in answers]


def test_what_is_no_text_model_is_told_before_the_start(
    folders: tuple[Path, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw, vlm, _ = folders
    run = Curated.below(tmp_path, raw)
    options = asking(vlm, "--enhance_captions", "--enhance_captions_model")
    assert run.curate(*options, str(vlm)) == 1
    assert "a model of kind qwen2_5_vl writes no text" in capsys.readouterr().err
    assert run.curate(*options, "/nowhere") == 1
    assert "/nowhere: there is no such folder" in capsys.readouterr().err
    assert not run.out.exists()
