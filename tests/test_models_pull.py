"""Models are pulled from a real server that speaks the hub's API, and found again."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_server import NEW, OLD, TOKEN, HubServer, Repository, hub_server
from store_servers import OWNER, GcsServer, S3Server, profiles_file
from wrong_use import Ended, use, use_process

from transforms.errors import PreflightError
from transforms.models.hub_cache import cache_folder, cached_snapshot
from transforms.models.weights import locate_weights

TINY = "tiny/vlm"
PINNED = "cc594898137f460bfe9f0759e9844b3ce807cfb5"


def safetensors(num_bytes: int, seed: int) -> bytes:
    """Return a file of safetensors with one tensor of so many bytes."""
    header = json.dumps(
        {"w": {"dtype": "U8", "shape": [num_bytes], "data_offsets": [0, num_bytes]}}
    ).encode()
    return struct.pack("<Q", len(header)) + header + random.Random(seed).randbytes(num_bytes)


def checkpoint(seed: int) -> dict[str, bytes]:
    """Return the files of a model in two parts, and what no loader reads."""
    parts = {f"model-0000{number}-of-00002.safetensors": number for number in (1, 2)}
    index = {"weight_map": {f"w{number}": name for name, number in parts.items()}}
    return {
        "config.json": json.dumps({"model_type": "tiny", "seed": seed}).encode(),
        "model.safetensors.index.json": json.dumps(index).encode(),
        **{name: safetensors(200_000, 10 * seed + number) for name, number in parts.items()},
        "README.md": b"read me",
        "pytorch_model.bin": b"the same weights once more",
    }


USED = sorted(set(checkpoint(0)) - {"README.md", "pytorch_model.bin"})


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    """Run a hub with one model at two commits, known to processes of this test alone."""
    with hub_server() as server:
        server.repositories[TINY] = Repository({OLD: checkpoint(1), NEW: checkpoint(2)})
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
        monkeypatch.setenv("BEAM_CURATE_MODELS", str(tmp_path / "mirror"))
        for name in ("HF_TOKEN", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "HUGGINGFACE_HUB_CACHE"):
            monkeypatch.delenv(name, raising=False)
        yield server
        assert not server.problems


def models(*words: str | Path) -> Ended:
    ended = use_process("models", *words)
    assert "Traceback" not in ended.err, ended.err
    return ended


def files_of(folder: Path) -> list[str]:
    names = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(name for name in names if not name.startswith("."))


def test_a_pull_brings_what_loaders_read_and_a_second_one_nothing(hub: HubServer) -> None:
    ended = models("pull", TINY)
    assert ended.status == 0, ended.err
    assert f"{TINY} at {NEW}: 4 files, 0.4 MB" in ended.err
    assert "3/4 model-00001-of-00002.safetensors (0.2 MB)" in ended.err
    snapshot = cached_snapshot(TINY)
    assert snapshot is not None
    assert snapshot.name == NEW
    assert files_of(snapshot) == USED
    found = locate_weights(TINY)
    assert (found.path, found.where, found.revision) == (snapshot, "hub cache", NEW)
    contents = checkpoint(2)
    assert all((snapshot / name).read_bytes() == contents[name] for name in USED)
    hub.served.clear()
    assert models("pull", TINY).status == 0
    assert hub.served == []


def test_a_broken_connection_is_resumed_and_the_next_command_goes_on(
    hub: HubServer,
) -> None:
    # The client writes 10 MiB at a time: what breaks off before is not kept.
    large = {"config.json": b"{}", "model.safetensors": safetensors(24_000_000, 1)}
    hub.repositories["tiny/large"] = Repository({NEW: large})
    hub.breaks = [12_000_000]
    assert models("pull", "tiny/large").status == 0
    assert hub.ranges == [f"bytes={10 << 20}-"]
    assert (locate_weights("tiny/large").path / "model.safetensors").read_bytes() == large[
        "model.safetensors"
    ]
    # The hub goes for good: the client gives up; the next command goes on with what came.
    hub.repositories["tiny/large2"] = Repository({NEW: {**large, "x.txt": b"2"}})
    hub.breaks = [12_000_000, *[0] * 100]
    hub.ranges.clear()
    ended = models("pull", "tiny/large2")
    assert ended.status == 1
    ended.told("the hub cannot be reached", "it goes on with the file at which it stopped")
    hub.breaks.clear()
    hub.served.clear()
    assert models("pull", "tiny/large2").status == 0
    assert hub.served == ["model.safetensors", "x.txt"], "config.json had come"
    assert (locate_weights("tiny/large2").path / "model.safetensors").read_bytes() == large[
        "model.safetensors"
    ]


def test_a_folder_gets_the_model_below_its_name_and_is_found_there(
    hub: HubServer, tmp_path: Path
) -> None:
    place = tmp_path / "models"
    assert models("pull", TINY, "--model_weights_path", place).status == 0
    assert files_of(place / TINY) == USED
    assert not cache_folder().exists()
    found = locate_weights(TINY, model_weights_path=str(place))
    assert (found.path, found.revision) == (place / TINY, NEW)
    assert found.where == f"model_weights_path={place}"
    # The folder is of a commit: a run that asks for another one is told.
    ended = use_process(
        *("plan", "split", "--input_video_path", place, "--output_clip_path", tmp_path / "out"),
        *("--splitting_algorithm", "fixed-stride", "--model_weights_path", place),
        *("--generate_captions", "true", "--captioning_model", TINY),
        *("--captioning_model_revision", OLD),
    )
    assert ended.status == 1
    ended.told(f"{TINY} is commit {NEW}", f"models pull {TINY} --revision {OLD}")


def test_the_catalogue_pins_the_commit(hub: HubServer) -> None:
    hub.repositories["Qwen/Qwen2.5-VL-7B-Instruct"] = Repository(
        {PINNED: checkpoint(3), NEW: checkpoint(4)}
    )
    assert models("pull", "qwen").status == 0
    assert locate_weights("qwen", task="caption").path.name == PINNED
    listed = json.loads(use_process("models", "list", "--json").out)
    (qwen,) = (one for one in listed if one["name"] == "qwen")
    assert qwen["here"] == "hub cache"
    assert Path(qwen["path"]).name == PINNED
    assert hub.repositories


@pytest.mark.parametrize(
    ("words", "needles"),
    [
        (["tiny/vlm", "--revision", "v9"], ["has no revision v9", "leave --revision out"]),
        (["tiny/nothing"], ["the hub has no model tiny/nothing", "set HF_TOKEN"]),
        (["tiny/gated"], ["tiny/gated is gated", "accept its licence at", "HF_TOKEN"]),
    ],
)
def test_what_the_hub_refuses_is_told_with_its_cure(
    hub: HubServer, words: list[str], needles: list[str]
) -> None:
    hub.repositories["tiny/gated"] = Repository({NEW: checkpoint(2)}, gated=True)
    ended = models("pull", *words)
    assert ended.status == 1
    ended.told(*needles)
    assert hub.served == []


def test_a_token_opens_what_is_gated_and_is_said_nowhere(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hub.repositories["tiny/gated"] = Repository({NEW: checkpoint(2)}, gated=True)
    monkeypatch.setenv("HF_TOKEN", "hf_another_secret")
    ended = models("pull", "tiny/gated")
    assert ended.status == 1
    ended.told("the token that is set is of an account that has not done so")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    opened = models("pull", "tiny/gated")
    assert opened.status == 0
    assert f"Bearer {TOKEN}" in hub.tokens
    for said in (ended.out + ended.err, opened.out + opened.err):
        assert "secret" not in said
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in files if TOKEN.encode() in path.read_bytes()]


def test_a_file_of_another_size_than_listed_is_refused(hub: HubServer) -> None:
    hub.wrong_size = True
    ended = models("pull", TINY)
    assert ended.status == 1
    size = len(checkpoint(2)["config.json"])
    ended.told(f"needed {size + 1} bytes, got {size}")


def test_offline_is_told_with_the_way_round(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    ended = models("pull", TINY)
    assert ended.status == 1
    ended.told("HF_HUB_OFFLINE is set: unset it", "--model_weights_path FOLDER")
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    ended = models("pull", TINY)
    assert ended.status == 1
    ended.told("the hub cannot be reached", "HF_ENDPOINT")


def test_all_that_a_run_needs_is_pulled_at_once(hub: HubServer, tmp_path: Path) -> None:
    run = (
        *("split", "--input_video_path", tmp_path, "--output_clip_path", tmp_path / "out"),
        *("--splitting_algorithm", "fixed-stride", "--generate_captions", "true"),
        *("--captioning_model", TINY, "--model_weights_path", tmp_path / "models"),
    )
    ended = models("pull", "all-needed", *run)
    assert ended.status == 0, ended.err
    assert files_of(tmp_path / "models" / TINY) == USED
    assert locate_weights(TINY, model_weights_path=str(tmp_path / "models")).revision == NEW


@pytest.mark.store
class TestStores:
    def test_a_pull_into_s3_is_found_and_copied_once(
        self,
        hub: HubServer,
        s3_server: S3Server,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
    ) -> None:
        place = f"s3://{s3_server.new_bucket()}/models"
        credentials = profiles_file(tmp_path / "keys", {"default": (OWNER, s3_server.address)})
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
        self._check(hub, place, tmp_path)

    def test_a_pull_into_gcs_is_found_and_copied_once(
        self,
        hub: HubServer,
        gcs_server: GcsServer,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
    ) -> None:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs_server.address)
        self._check(hub, f"gs://{gcs_server.new_bucket()}/models", tmp_path)

    def _check(self, hub: HubServer, place: str, tmp_path: Path) -> None:
        hub.refuses = "model-00002-of-00002.safetensors"
        ended = models("pull", TINY, "--model_weights_path", place)
        assert ended.status == 1
        ended.told("HTTP 500", "it goes on with the file at which it stopped")
        with pytest.raises(PreflightError, match="a pull into it was not finished"):
            locate_weights(TINY, model_weights_path=place)
        hub.refuses = None
        hub.served.clear()
        assert models("pull", TINY, "--model_weights_path", place).status == 0
        assert "config.json" not in hub.served, "what was stored is not sent again"
        hub.served.clear()
        again = models("pull", TINY, "--model_weights_path", place)
        assert (again.status, hub.served) == (0, [])
        assert "there already" in again.err
        folder = locate_weights(TINY, model_weights_path=place).path
        assert folder.is_relative_to(tmp_path / "mirror")
        assert files_of(folder) == USED
        before = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.safetensors")}
        (folder / "model-00001-of-00002.safetensors").write_bytes(b"short")
        locate_weights(TINY, model_weights_path=place)
        after = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.safetensors")}
        assert [name for name in before if before[name] != after[name]] == [
            "model-00001-of-00002.safetensors"
        ]


def test_words_that_are_none_are_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    for words, said in (
        (["models"], "they are list, pull, check"),
        (["models", "pul"], "did you mean pull"),
        (["models", "pull"], "name a model"),
        (["models", "pull", "openai"], "served by an API"),
        (["models", "pull", "qwn"], "did you mean qwen"),
        (["models", "pull", "qwen", "--revison", "x"], "did you mean revision"),
        (["models", "pull", "qwen", "clip", "--revision", "x"], "belongs to one model"),
    ):
        ended = use(capsys, *words)
        assert ended.status == 2, words
        ended.told(said)
