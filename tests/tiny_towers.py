"""Tiny checkpoints of embedding models, as the hub has them; weights are random but fixed."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path


def tiny_clip(folder: Path, *, whole: bool = True) -> Path:
    """Save a CLIP model, or its image tower alone, with its image processor; vectors of 24."""
    import torch
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel
    from transformers import CLIPVisionModelWithProjection as Tower

    torch.manual_seed(1)
    vision = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 32,
        "patch_size": 8,
    }
    text = {
        "vocab_size": 99,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "eos_token_id": 2,
    }
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=24)
    CLIPModel(config).save_pretrained(folder)
    if not whole:
        config.vision_config.projection_dim = 24
        tower = Tower.from_pretrained(folder, config=config.vision_config)
        (folder / "model.safetensors").unlink()
        tower.save_pretrained(folder)
    size = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
    CLIPImageProcessor(**size).save_pretrained(folder)
    return folder


def tiny_siglip(folder: Path) -> Path:
    """Save a SigLIP model with its image processor; vectors of 32."""
    import torch
    from transformers import SiglipConfig, SiglipImageProcessor, SiglipModel

    torch.manual_seed(2)
    vision = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 32,
        "patch_size": 8,
    }
    text = {
        "vocab_size": 99,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    SiglipModel(SiglipConfig(text_config=text, vision_config=vision)).save_pretrained(folder)
    SiglipImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


_COSMOS_MODEL = """
    import torch
    from dataclasses import dataclass
    from transformers import PretrainedConfig, PreTrainedModel

    class TinyConfig(PretrainedConfig):
        model_type = "tiny-cosmos-embed1"

    @dataclass
    class Output:
        visual_proj: torch.Tensor

    class TinyModel(PreTrainedModel):
        config_class = TinyConfig

        def __init__(self, config):
            super().__init__(config)
            self.project = torch.nn.Linear(3, 256)
            self.post_init()

        def get_video_embeddings(self, videos):
            assert videos.ndim == 5 and videos.shape[1:3] == (3, 8), videos.shape
            return Output(self.project(videos.mean(dim=(2, 3, 4))))
"""
_COSMOS_PROCESSOR = """
    import torch
    from transformers import BatchFeature, ProcessorMixin
    from transformers.image_processing_utils import BaseImageProcessor

    class TinyProcessor(BaseImageProcessor):
        def __init__(self, num_video_frames=8, **kwargs):
            super().__init__(**kwargs)
            self.num_video_frames = num_video_frames

        def __call__(self, videos=None):
            # Batch, time, channel, height, width in; batch, channel, time, ... out.
            pixels = torch.from_numpy(videos).float().permute(0, 2, 1, 3, 4) / 255
            return BatchFeature({"videos": pixels})
"""
_INTERN_MODEL = """
    import torch
    from transformers import PretrainedConfig, PreTrainedModel

    class TinyConfig(PretrainedConfig):
        model_type = "tiny-internvideo2"

    class TinyModel(PreTrainedModel):
        config_class = TinyConfig

        def __init__(self, config):
            super().__init__(config)
            self.project = torch.nn.Linear(4 * 3, 512)
            self.post_init()

        def get_vid_feat(self, frames):
            assert tuple(frames.shape[1:]) == (4, 3, 224, 224), frames.shape
            return self.project(frames.mean(dim=(3, 4)).flatten(1))
"""
_MOBILENET = """
    import torch
    import torchvision
    from transformers import PretrainedConfig, PreTrainedModel

    class TinyConfig(PretrainedConfig):
        model_type = "tests-mobilenet"

    class MobileNet(PreTrainedModel):
        config_class = TinyConfig

        def __init__(self, config):
            super().__init__(config)
            self.network = torchvision.models.mobilenet_v2(weights=None)
            self.post_init()

        def get_image_features(self, pixel_values):
            return self.network.features(pixel_values).mean(dim=(2, 3))
"""


def tiny_cosmos(folder: Path) -> Path:
    """Save a repository with code of its own that is called as Cosmos-Embed1's is."""
    _write_code(folder, "modeling_tiny.py", _COSMOS_MODEL, {"AutoModel": "TinyModel"})
    _write_code(folder, "processing_tiny.py", _COSMOS_PROCESSOR, {})
    processor = {
        "auto_map": {"AutoImageProcessor": "processing_tiny.TinyProcessor"},
        "image_processor_type": "TinyProcessor",
        "num_video_frames": 8,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    _save_weights(folder, {"project.weight": (256, 3), "project.bias": (256,)})
    return folder


def tiny_internvideo2(folder: Path) -> Path:
    """Save a repository with code of its own that is called as InternVideo2's is."""
    _write_code(folder, "modeling_tiny.py", _INTERN_MODEL, {"AutoModel": "TinyModel"})
    _save_weights(folder, {"project.weight": (512, 12), "project.bias": (512,)})
    return folder


def real_mobilenet(folder: Path, weights: Path) -> Path:
    """Save torchvision's trained MobileNetV2 as a repository with code of its own."""
    import torch
    from safetensors.torch import save_file
    from transformers import CLIPImageProcessor

    _write_code(folder, "modeling_tiny.py", _MOBILENET, {"AutoModel": "MobileNet"})
    loaded = torch.load(weights, map_location="cpu", weights_only=True)
    state = {f"network.{name}": value.contiguous() for name, value in loaded.items()}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    CLIPImageProcessor(
        image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225]
    ).save_pretrained(folder)
    return folder


def _write_code(folder: Path, name: str, code: str, classes: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    code = textwrap.dedent(code)
    (folder / name).write_text(code)
    if not classes:
        return
    module = name.removesuffix(".py")
    auto_map = {auto: f"{module}.{own}" for auto, own in classes.items()}
    config = {
        "model_type": code.split('model_type = "')[1].split('"')[0],
        "auto_map": {"AutoConfig": f"{module}.TinyConfig", **auto_map},
    }
    (folder / "config.json").write_text(json.dumps(config))


def _save_weights(folder: Path, shapes: dict[str, tuple[int, ...]]) -> None:
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(3)
    state = {name: torch.randn(shape) for name, shape in shapes.items()}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
