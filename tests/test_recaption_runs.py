"""``recaption`` in real processes: killed, with several workers, with a model, in a store."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from caption_server import KEY, CaptionServer, caption_server, forget_models
from make_video import VideoSpec, make_video
from model_packages import needs_transformers
from run_command import Curated
from store_servers import OWNER, S3Server, profiles_file
from test_captions import CAPTIONS, CUT
from test_recaption import check_captions, metas
from wrong_use import Ended, environment

from beam_pipeline.cli import main
from transforms.faults import FAULT_VARIABLE

NUM_WINDOWS = 9
MULTI = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")


@pytest.fixture
def server() -> Iterator[CaptionServer]:
    """Return a running server."""
    forget_models()
    with caption_server() as running:
        yield running


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Return an output of ``split`` without captions."""
    (tmp_path / "raw").mkdir()
    make_video(tmp_path / "raw" / "a.mp4", VideoSpec(seconds=9, size=(64, 48)))
    run = Curated.below(tmp_path, tmp_path / "raw")
    assert run.curate(*CUT, "--generate_captions", "false") == 0
    return run.out


def run(out: Path, server: CaptionServer, *options: str, **variables: str) -> Ended:
    """Run ``recaption`` in a process group of its own."""
    known = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": KEY, **variables}
    folder = out.parent
    with (folder / "out").open("wb") as told, (folder / "err").open("wb") as complaints:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "beam_pipeline", "recaption"),
                *("--input_clip_path", str(out), "--scratch_path", str(folder / "scratch")),
                *(*CAPTIONS[2:], *options),
            ],
            env=environment(known),
            stdout=told,
            stderr=complaints,
            start_new_session=True,
        )
        try:
            status = process.wait(300)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    return Ended(status, (folder / "out").read_text(), (folder / "err").read_text())


def test_a_killed_run_asks_again_about_open_windows_alone(out: Path, server: CaptionServer) -> None:
    one = ("--api_caption_batch_size", "1")
    killed = run(out, server, *one, **{FAULT_VARIABLE: "kill@clip_annotated"})
    assert killed.status == -signal.SIGKILL, killed.err
    num_done = sum(len(meta["windows"]) for meta in metas(out).values())
    assert 0 < num_done < NUM_WINDOWS
    asked = len(server.requests)
    ended = run(out, server, *one)
    assert ended.status == 0, ended.err
    assert check_captions(out) == NUM_WINDOWS
    assert len(server.requests) - asked == NUM_WINDOWS - num_done
    # Up to twice the slots are open, and the window of the clip that was just being written.
    assert len(server.requests) <= NUM_WINDOWS + 3
    assert not list(out.rglob(".tmp-*"))
    assert not list((out.parent / "scratch").iterdir())


def test_no_key_lies_anywhere_while_workers_ask_or_afterwards(
    out: Path, server: CaptionServer
) -> None:
    folder, found = out.parent, []

    def look(number: int) -> str | None:
        found.extend(with_key(folder))
        return {0: "500", 2: "400", 4: "drop"}.get(number)

    server.misbehave = look
    ended = run(out, server, *MULTI, "--verbose")
    assert ended.status == 0, ended.err
    assert "without   1 error" in ended.out
    assert len(server.requests) >= NUM_WINDOWS + 2
    assert [*found, *with_key(folder)] == []
    assert KEY not in ended.out + ended.err
    messages = [
        window["caption_failure_message"]
        for meta in metas(out).values()
        for window in meta["windows"]
        if window["caption_status"] == "error"
    ]
    assert len(messages) == 1
    assert "maximum context length is 32 tokens" in messages[0]


def with_key(folder: Path) -> list[str]:
    """Return files below a folder, and command lines of processes, that hold the key."""
    found = []
    for path in (*folder.rglob("*"), *Path("/proc").glob("[0-9]*/cmdline")):
        try:
            content = path.read_bytes() if path.is_file() else b""
        except OSError:
            # It is gone already, or of somebody else.
            continue
        if KEY.encode() in content:
            found.append(str(path))
    return found


def test_several_workers_and_another_runner_write_the_same(
    out: Path, server: CaptionServer
) -> None:
    assert run(out, server, *MULTI).status == 0
    portable = ("--annotation_version", "v2", "--runner=PortableRunner")
    assert run(out, server, *portable).status == 0
    assert check_captions(out, "v1") == check_captions(out, "v2") == NUM_WINDOWS
    assert metas(out, "v1") == metas(out, "v2")


@pytest.mark.store
def test_an_output_in_a_store(
    out: Path, server: CaptionServer, s3_server: S3Server, tmp_path: Path
) -> None:
    bucket = s3_server.new_bucket()
    for path in out.rglob("*"):
        if path.is_file():
            key = f"v0/{path.relative_to(out).as_posix()}"
            s3_server.client().put_object(Bucket=bucket, Key=key, Body=path.read_bytes())
    before = objects(s3_server, bucket)
    profiles = profiles_file(tmp_path / "profiles", {"default": (OWNER, s3_server.address)})
    stored = ("--input_clip_path", f"s3://{bucket}/v0")
    variables = {"COSMOS_S3_PROFILE_PATH": str(profiles)}
    ended = run(out, server, *stored, **variables)
    assert ended.status == 0, ended.err
    after = objects(s3_server, bucket)
    assert {key: content for key, content in after.items() if key in before} == before
    for key, content in after.items():
        path = tmp_path / "fetched" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    assert check_captions(tmp_path / "fetched" / "v0") == NUM_WINDOWS == len(server.requests)
    assert "v0/.work/v1/lease.json" not in after
    assert run(out, server, *stored, **variables).status == 0
    assert len(server.requests) == NUM_WINDOWS


def objects(server: S3Server, bucket: str) -> dict[str, bytes]:
    listed = server.client().list_objects_v2(Bucket=bucket)["Contents"]
    return {
        one["Key"]: server.client().get_object(Bucket=bucket, Key=one["Key"])["Body"].read()
        for one in listed
    }


@needs_transformers
def test_a_model_in_the_worker_sees_the_frames_of_every_window(
    out: Path, tiny_model: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    model = tiny_model("qwen2_5_vl")
    options = ("--captioning_model", str(model), "--captioning_max_output_tokens", "6")
    command = ("recaption", "--input_clip_path", str(out), *options)
    assert main([*command, "--vllm_sampling_min_tokens", "1"]) == 0
    windows: list[dict[str, Any]] = [w for meta in metas(out).values() for w in meta["windows"]]
    assert len(windows) == NUM_WINDOWS
    assert {window["caption_status"] for window in windows} <= {"success", "truncated"}
    assert all(window["qwen_output_tokens"] for window in windows)
    stored = json.loads((out / "annotations/v1/options.json").read_text())
    assert stored["options"]["captioning_model"] == str(model)
