"""Tiny models with random weights, of the classes that real checkpoints have. Needs torch.

Processors and tokenizers are real, the tokenizer's vocabulary is trained here. What they say is
noise, but it depends on every pixel and every word.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers.trainers import BpeTrainer

SPECIAL = (
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>"),
    *("<|vision_pad|>", "<|image_pad|>", "<|video_pad|>"),
)
_VOCABULARY = 400
_TEXTS = [
    "a person walks a dog in the park while cars drive past on a wet street",
    "The camera pans slowly across a mountain at sunset; describe the video in detail.",
] * 20
_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% for part in message.content %}"
    "{% if part.type == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif part.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% else %}{{ part.text }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_ROPE: dict[str, Any] = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [2, 3, 3]}
_TEXT: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    # Tied embeddings of random weights would say one word for ever.
    "tie_word_embeddings": False,
}
_VISION: dict[str, Any] = {
    "hidden_size": 32,
    "num_heads": 2,
    "intermediate_size": 64,
    "out_hidden_size": 64,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
}


def qwen2_5_vl(folder: Path, *, context: int = 32_768) -> Path:
    """Make a model of Qwen2.5-VL's class in ``folder`` and return it."""
    tokenizer = _tokenizer(folder)
    config = transformers.Qwen2_5_VLConfig(
        text_config={
            **_TEXT,
            **_special_ids(tokenizer),
            "vocab_size": len(tokenizer),
            "num_hidden_layers": 2,
            "max_position_embeddings": context,
            "rope_parameters": _ROPE,
        },
        vision_config={
            **_VISION,
            "depth": 2,
            "patch_size": 14,
            "window_size": 112,
            "fullatt_block_indexes": [1],
            "tokens_per_second": 2,
        },
        **_picture_ids(tokenizer),
    )
    processor = transformers.Qwen2_5_VLProcessor(
        image_processor=transformers.Qwen2VLImageProcessor(),
        tokenizer=tokenizer,
        video_processor=transformers.Qwen2VLVideoProcessor(),
        chat_template=_TEMPLATE,
    )
    return _saved(folder, transformers.Qwen2_5_VLForConditionalGeneration, config, processor)


def qwen3_vl(folder: Path) -> Path:
    """Make a model of Qwen3-VL's class in ``folder`` and return it."""
    tokenizer = _tokenizer(folder)
    config = transformers.Qwen3VLConfig(
        text_config={
            **_TEXT,
            **_special_ids(tokenizer),
            "vocab_size": len(tokenizer),
            "num_hidden_layers": 3,
            "head_dim": 16,
            "max_position_embeddings": 32_768,
            "rope_parameters": {**_ROPE, "mrope_interleaved": True},
        },
        vision_config={
            **_VISION,
            "depth": 3,
            "patch_size": 16,
            "num_position_embeddings": 256,
            "deepstack_visual_indexes": [0, 1],
        },
        **_picture_ids(tokenizer),
    )
    processor = transformers.Qwen3VLProcessor(
        image_processor=transformers.Qwen2VLImageProcessor(
            patch_size=16, size={"shortest_edge": 65_536, "longest_edge": 16_777_216}
        ),
        tokenizer=tokenizer,
        video_processor=transformers.Qwen3VLVideoProcessor(),
        chat_template=_TEMPLATE,
    )
    return _saved(folder, transformers.Qwen3VLForConditionalGeneration, config, processor)


def llava(folder: Path) -> Path:
    """Make a model of LLaVA's class, which knows pictures but no video, and return its folder."""
    tokenizer = _tokenizer(folder)
    picture = tokenizer.convert_tokens_to_ids("<|image_pad|>")
    config = transformers.LlavaConfig(
        text_config=transformers.LlamaConfig(
            vocab_size=len(tokenizer), num_hidden_layers=2, **_TEXT, **_special_ids(tokenizer)
        ),
        vision_config=transformers.CLIPVisionConfig(
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=56,
            patch_size=14,
        ),
        image_token_index=picture,
        image_seq_length=16,
        vision_feature_layer=-1,
        tie_word_embeddings=False,
    )
    processor = transformers.LlavaProcessor(
        image_processor=transformers.CLIPImageProcessor(
            size={"shortest_edge": 56}, crop_size={"height": 56, "width": 56}
        ),
        tokenizer=tokenizer,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=_TEMPLATE,
        image_token="<|image_pad|>",
    )
    return _saved(folder, transformers.LlavaForConditionalGeneration, config, processor)


TINY: dict[str, Callable[[Path], Path]] = {
    "qwen2_5_vl": qwen2_5_vl,
    "qwen3_vl": qwen3_vl,
    "llava": llava,
}


def _saved(folder: Path, kind: Any, config: Any, processor: Any) -> Path:
    torch.manual_seed(0)
    model = kind(config).eval()
    # Random weights of a real model's spread hardly react to what they see.
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(8 if parameter.ndim > 1 else 1)
    tokenizer = processor.tokenizer
    model.generation_config.eos_token_id = [tokenizer.eos_token_id, tokenizer.pad_token_id]
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def _tokenizer(folder: Path) -> Any:
    """Return a byte-level BPE as Qwen's, made from the files that a hub repository has."""
    made = Tokenizer(models.BPE())
    made.normalizer = normalizers.NFC()
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    size = _VOCABULARY - len(SPECIAL)
    trainer = BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
    made.train_from_iterator(_TEXTS, trainer)
    made.add_special_tokens(
        [AddedToken(token, special=True, normalized=False) for token in SPECIAL]
    )
    folder.mkdir(parents=True)
    made.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        json.dumps(
            {
                "tokenizer_class": "Qwen2Tokenizer",
                "model_max_length": 131_072,
                "eos_token": "<|im_end|>",
                "pad_token": "<|endoftext|>",
                "unk_token": None,
                "bos_token": None,
                "additional_special_tokens": SPECIAL[1:],
            }
        )
    )
    return transformers.AutoTokenizer.from_pretrained(folder)


def _special_ids(tokenizer: Any) -> dict[str, int]:
    # The class's own begin-of-text is no token of this vocabulary.
    return {
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


def _picture_ids(tokenizer: Any) -> dict[str, int]:
    names = {
        "image_token_id": "<|image_pad|>",
        "video_token_id": "<|video_pad|>",
        "vision_start_token_id": "<|vision_start|>",
        "vision_end_token_id": "<|vision_end|>",
    }
    return {name: tokenizer.convert_tokens_to_ids(token) for name, token in names.items()}


_CHAT = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def qwen2(folder: Path, *, context: int = 1024, num_ends: int = 0) -> Path:
    """Make a text model of Qwen2's class in ``folder`` and return it.

    Args:
        folder: Is made.
        context: Tokens it takes.
        num_ends: So many of the last of its 400 tokens end a text, too: noise seldom ends.
    """
    tokenizer = _tokenizer(folder)
    tokenizer.chat_template = _CHAT
    config = transformers.Qwen2Config(
        vocab_size=len(tokenizer),
        num_hidden_layers=2,
        max_position_embeddings=context,
        **_TEXT,
        **_special_ids(tokenizer),
    )

    class Processor:
        """A text model has a tokenizer alone."""

        def __init__(self) -> None:
            self.tokenizer = tokenizer
            self.save_pretrained = tokenizer.save_pretrained

    _saved(folder, transformers.Qwen2ForCausalLM, config, Processor())
    generation = json.loads((folder / "generation_config.json").read_text())
    ends = range(len(tokenizer) - num_ends, len(tokenizer))
    generation["eos_token_id"] = sorted({*generation["eos_token_id"], *ends})
    (folder / "generation_config.json").write_text(json.dumps(generation))
    return folder
