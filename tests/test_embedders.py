"""Embedding models of the real classes, with tiny random weights. Needs torch."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import tiny_towers
from model_packages import NEEDS_TORCH

from transforms.annotate.embedding_settings import EmbedderSpec
from transforms.errors import PreflightError
from transforms.models.embeddings.algorithms import ALGORITHMS
from transforms.models.embeddings.embedder import Embedder, EmbeddingError, normalised
from transforms.models.embeddings.model_folder import ModelFolder

pytestmark = NEEDS_TORCH
MAKERS = {
    "clip": tiny_towers.tiny_clip,
    "siglip2": tiny_towers.tiny_siglip,
    "cosmos-embed1-224p": tiny_towers.tiny_cosmos,
    "internvideo2": tiny_towers.tiny_internvideo2,
}
SHAPES = {
    "clip": ("float32", (1, 24)),
    "siglip2": ("float32", (1, 32)),
    "cosmos-embed1-224p": ("float16", (1, 256)),
    "internvideo2": ("float32", (1, 512)),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {name: make(root / f"{name}-tiny") for name, make in MAKERS.items()}


def load(name: str, folder: Path, *, trust: bool = True, device: str = "cpu") -> Embedder:
    spec = EmbedderSpec(name, "m", "v", folder=str(folder), device=device, trust_remote_code=trust)
    return spec.load()


def clips(name: str, *lengths: int) -> list[np.ndarray]:
    """Return random clips of the size that the look would give the model."""
    side = 224 if ALGORITHMS[name].square else 32
    rng = np.random.default_rng(11)
    size = (side, side if ALGORITHMS[name].square else 48)
    return [rng.integers(0, 255, (length, *size, 3), np.uint8) for length in lengths]


@pytest.mark.parametrize("name", MAKERS)
def test_one_vector_per_clip_whatever_else_is_in_the_batch(
    folders: dict[str, Path], name: str
) -> None:
    embedder = load(name, folders[name])
    assert embedder.device == "cpu"
    all_clips = clips(name, 8, 9, 40, 13)
    together = embedder.embed(all_clips)
    assert len(together) == 4
    for vector, frames in zip(together, all_clips, strict=True):
        assert isinstance(vector, np.ndarray)
        assert (vector.dtype.name, vector.shape) == SHAPES[name]
        assert np.linalg.norm(vector.astype(np.float64)) == pytest.approx(1, abs=1e-3)
        [alone] = embedder.embed([frames])
        assert isinstance(alone, np.ndarray)
        assert alone.tobytes() == vector.tobytes(), "the same bits alone and in a batch"
    assert len({vector.tobytes() for vector in together if isinstance(vector, np.ndarray)}) == 4
    [again] = load(name, folders[name]).embed(all_clips[:1])
    assert np.array_equal(again, together[0])


@pytest.mark.parametrize("name", ["clip", "siglip2"])
def test_towers_against_the_whole_model(folders: dict[str, Path], name: str) -> None:
    import torch
    import transformers

    [frames] = clips(name, 5)
    folder = folders[name]
    model = transformers.AutoModel.from_pretrained(folder).eval()
    processor = transformers.AutoImageProcessor.from_pretrained(folder)
    vectors = []
    with torch.inference_mode():
        for frame in frames:
            pixels = processor(images=frame, return_tensors="pt")["pixel_values"]
            if name == "clip":
                pooled = model.vision_model(pixel_values=pixels).pooler_output
                vector = model.visual_projection(pooled)
            else:
                vector = model.vision_model(pixel_values=pixels).pooler_output
            vectors.append((vector / vector.norm()).numpy()[0])
    mean = np.mean(vectors, axis=0)
    expected = mean / np.linalg.norm(mean)
    [found] = load(name, folder).embed([frames])
    assert isinstance(found, np.ndarray)
    assert np.allclose(found[0], expected, atol=1e-6)


def test_a_checkpoint_of_the_tower_alone(folders: dict[str, Path], tmp_path: Path) -> None:
    alone = tiny_towers.tiny_clip(tmp_path / "tower", whole=False)
    config = json.loads((alone / "config.json").read_text())
    assert config["model_type"] == "clip_vision_model"
    frames = clips("clip", 3)
    [found], [expected] = (load("clip", one).embed(frames) for one in (alone, folders["clip"]))
    assert np.array_equal(found, expected)


def test_every_nth_frame_and_imagenet_colours_for_internvideo2(folders: dict[str, Path]) -> None:
    import torch
    from safetensors.torch import load_file

    [frames] = clips("internvideo2", 11)
    weights = load_file(folders["internvideo2"] / "model.safetensors")
    # The tiny model sees the mean of each channel of each frame.
    means = frames[[0, 2, 4, 6]].reshape(4, -1, 3).mean(axis=1) / 255
    scaled = (means - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    raw = weights["project.weight"].double() @ torch.tensor(scaled.ravel())
    expected = (raw + weights["project.bias"].double()).numpy()
    [found] = load("internvideo2", folders["internvideo2"]).embed([frames])
    assert isinstance(found, np.ndarray)
    assert np.allclose(found[0], expected / np.linalg.norm(expected), atol=1e-5)


@pytest.mark.parametrize(("name", "needed"), [("cosmos-embed1-224p", 8), ("internvideo2", 4)])
def test_too_few_frames_are_the_fault_of_their_clip_alone(
    folders: dict[str, Path], name: str, needed: int
) -> None:
    found = load(name, folders[name]).embed(clips(name, needed, needed - 1, needed + 1))
    assert [isinstance(one, EmbeddingError) for one in found] == [False, True, False]
    assert isinstance(found[1], EmbeddingError)
    assert found[1].reason == "too_few_frames"


def test_a_vector_without_direction_is_refused() -> None:
    for wrong in ([[0.0, 0.0]], [[1.0, float("nan")]], [[float("inf"), 1.0]]):
        with pytest.raises(EmbeddingError, match="without a direction"):
            normalised(np.array(wrong, np.float32))


@pytest.mark.parametrize("name", ["cosmos-embed1-224p", "internvideo2"])
def test_code_of_a_model_runs_only_when_the_user_says_so(
    folders: dict[str, Path], name: str
) -> None:
    with pytest.raises(PreflightError, match="give --trust_remote_code"):
        load(name, folders[name], trust=False)


def test_code_beside_a_tower_runs_only_when_the_user_says_so(folders: dict[str, Path]) -> None:
    folder = ModelFolder(folders["cosmos-embed1-224p"])
    with pytest.raises(PreflightError, match="give --trust_remote_code"):
        folder.check("clip", trust_remote_code=False)
    with pytest.raises(PreflightError, match="has no get_image_features"):
        load("clip", folder.path)


def test_weights_that_are_missing_are_not_made_up(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = tiny_towers.tiny_clip(tmp_path / "clip")
    state = load_file(folder / "model.safetensors")
    del state["visual_projection.weight"]
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(PreflightError, match="1 weights of its image tower are missing"):
        load("clip", folder)


def test_a_folder_that_cannot_be_loaded_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "clip"}')
    with pytest.raises(PreflightError, match="is not a CLIP or SigLIP checkpoint"):
        load("clip", tmp_path)
    with pytest.raises(PreflightError, match="every worker needs the model's folder"):
        load("clip", tmp_path / "gone")


def test_a_gpu_that_is_not_there(folders: dict[str, Path]) -> None:
    import torch

    if torch.cuda.is_available():
        assert load("clip", folders["clip"], device="cuda").device == "cuda"
    else:
        with pytest.raises(PreflightError, match="torch finds no GPU on this machine"):
            load("clip", folders["clip"], device="cuda")
        assert load("clip", folders["clip"], device="auto").device == "cpu"


@pytest.mark.gpu
@pytest.mark.parametrize("name", MAKERS)
def test_on_a_gpu_batches_give_what_clips_give_alone(folders: dict[str, Path], name: str) -> None:
    import torch

    if not torch.cuda.is_available():
        if os.environ.get("REQUIRE_GPU") == "1":
            pytest.fail("needs a GPU")
        pytest.skip("needs a GPU")
    on_gpu, on_cpu = (load(name, folders[name], device=one) for one in ("cuda", "cpu"))
    needed = ALGORITHMS[name].num_frames
    some = clips(name, needed, needed + 3, max(0, needed - 1) or 1, needed * 2)
    together, expected = on_gpu.embed(some), on_cpu.embed(some)
    for vector, frames, other in zip(together, some, expected, strict=True):
        [alone] = on_gpu.embed([frames])
        if isinstance(other, EmbeddingError):
            assert isinstance(vector, EmbeddingError)
            continue
        assert np.allclose(vector, alone, atol=2e-3)
        assert np.allclose(vector, other, atol=2e-2), (
            "bfloat16 on a GPU where the model's card says so"
        )


def test_frames_that_models_ask_for(folders: dict[str, Path], tmp_path: Path) -> None:
    def asked(name: str, target: int = -1) -> tuple[int, int, int]:
        found = ModelFolder(folders[name]).frames(ALGORITHMS[name], target=target)
        return found.min_frames, found.square, found.short_side

    assert asked("clip") == (1, 0, 32)
    assert asked("siglip2") == (1, 0, 32)
    assert asked("clip", 96) == (1, 96, 0)
    assert asked("cosmos-embed1-224p") == (8, 224, 0)
    assert asked("cosmos-embed1-224p", 96) == (8, 96, 0)
    assert asked("internvideo2", 96) == (4, 224, 0)
    empty = ModelFolder(tmp_path).frames(ALGORITHMS["clip"], target=0)
    assert (empty.square, empty.short_side) == (0, 512)


def test_the_digest_tells_models_apart(folders: dict[str, Path], tmp_path: Path) -> None:
    digests = {ModelFolder(folder).digest() for folder in folders.values()}
    assert len(digests) == 4
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in folders["clip"].iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    assert ModelFolder(copy).digest() == ModelFolder(folders["clip"]).digest()
    weights = copy / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert ModelFolder(copy).digest() != ModelFolder(folders["clip"]).digest()
