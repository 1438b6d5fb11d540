"""The catalogue of models: every name that an option takes, with facts that agree."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
from wrong_use import ROOT, use

from beam_pipeline.docs.models import MODELS_PAGE, models_page
from transforms.annotate.caption_model import CaptionModel
from transforms.annotate.caption_options import CaptionEnhancement
from transforms.annotate.embedding_options import Embedding
from transforms.errors import UsageError
from transforms.models.catalogue import ENTRIES, entry, find_entry
from transforms.models.transnetv2_weights import FILE_NAME

UPSTREAM = json.loads((Path(__file__).parent / "data" / "upstream_options.json").read_text())
_BYTES = {"float32": 4, "bfloat16": 2, "fp8": 1, "mxfp4": 0.5}


def choices(section: type, name: str) -> set[str]:
    return set(get_args(get_type_hints(section)[name])) - {"auto"}


@pytest.mark.parametrize(
    ("section", "option", "task"),
    [
        (CaptionModel, "captioning_algorithm", "caption"),
        (Embedding, "embedding_algorithm", "embedding"),
        (CaptionEnhancement, "enhance_captions_lm_variant", "text"),
    ],
)
def test_every_name_that_an_option_takes_is_there(section: type, option: str, task: str) -> None:
    # vllm_async names its model by another option.
    names = choices(section, option) - {"vllm_async"}
    assert names == {one.name for one in ENTRIES if one.task == task}


def test_every_name_means_one_model() -> None:
    for task in {one.task for one in ENTRIES}:
        names = [
            name.lower() for one in ENTRIES if one.task == task for name in (one.name, *one.aliases)
        ]
        assert len(names) == len(set(names)), task
    for one in ENTRIES:
        for name in (one.name, one.name.upper(), *one.aliases, *filter(None, [one.hub_id])):
            assert find_entry(name.replace("_", "-"), one.task) == one
    assert find_entry("no-such-model") is None
    with pytest.raises(UsageError, match="no model of the catalogue for embedding; it has clip"):
        entry("qwen", "embedding")


def test_facts_of_a_model_agree() -> None:
    for one in ENTRIES:
        if one.is_served:
            assert (one.num_bytes, one.revision, one.licence) == (None, None, "")
            continue
        assert re.fullmatch(r"[\w.-]+/[\w.-]+", str(one.hub_id)), one.name
        assert one.licence, one.name
        assert one.revision is None or re.fullmatch(r"[0-9a-f]{40}", one.revision), one.name
        assert all(find_entry(part, "part") for part in one.parts)
        if one.parameters and one.num_bytes:
            # FP8 and MXFP4 keep embeddings, output layer and vision tower in 16 bits.
            least = one.parameters * _BYTES[one.dtype]
            assert least <= one.num_bytes <= 1.35 * least, one.name
        if one.task != "part":
            assert one.gpu_memory_bytes, one.name
            assert one.gpu_memory_bytes > (one.num_bytes or 0), one.name
    (transnet,) = entry("transnetv2").files
    assert transnet == FILE_NAME


def test_page_of_models_is_up_to_date() -> None:
    text = MODELS_PAGE.read_text(encoding="utf-8")
    assert text == models_page(text), "run: python -m beam_pipeline.docs.models"


def test_looking_for_weights_imports_nothing_heavy() -> None:
    code = (
        "import sys; from transforms.models.weights import locate_weights; "
        "print([m for m in ('torch', 'transformers', 'huggingface_hub', 'apache_beam') "
        "if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_the_list_shows_every_model(capsys: pytest.CaptureFixture[str]) -> None:
    lines = use(capsys, "models", "list").out.splitlines()
    assert lines[0].split() == [
        "name",
        "for",
        "hub",
        "id",
        "size",
        "licence",
        "GPU",
        "memory",
        "here",
    ]
    assert len(lines) == 1 + sum(one.task != "part" for one in ENTRIES)
    (qwen,) = (line for line in lines if line.startswith("qwen "))
    assert re.search(r"Qwen/Qwen2\.5-VL-7B-Instruct +16\.6 GB +Apache-2\.0 +20\.9 GB", qwen)
    helped = use(capsys, "models", "--help")
    assert helped.status == 0
    assert "models pull all-needed" in helped.out
