"""Runs from and to zip archives behind presigned URLs: the same clips, and no secret anywhere."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from archive_server import SIGNATURE, ArchiveServer, running_archives
from make_video import VideoSpec, make_video
from run_command import Curated
from tree import tree
from wrong_use import QUICK, Ended, environment, use, use_process

from transforms.archives.presigned_url import shown_url
from transforms.errors import PreflightError
from transforms.scratch import archive_folder_name, run_scratch

Capture = pytest.CaptureFixture[str]
SPEC = VideoSpec(seconds=2.5, size=(64, 48))


@pytest.fixture
def archives() -> Iterator[ArchiveServer]:
    with running_archives() as server:
        yield server


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of two videos, one of them in a folder."""
    folder = tmp_path_factory.mktemp("raw")
    (folder / "x").mkdir()
    make_video(folder / "x" / "a b.mp4", SPEC)
    make_video(folder / "c.mp4", SPEC)
    return folder


def zipped(folder: Path, prefix: str = "top/") -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*.mp4")):
            archive.write(path, prefix + path.relative_to(folder).as_posix())
    return content.getvalue()


def unzipped(data: bytes, folder: Path) -> Path:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        archive.extractall(folder)
    return folder


def leaks(ended: Ended, *folders: Path) -> list[str]:
    """Return where the signature stands: in what was said, or in a file."""
    places = [name for name in ("out", "err") if SIGNATURE in getattr(ended, name)]
    paths = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return places + [str(path) for path in paths if SIGNATURE.encode() in path.read_bytes()]


def same_but_for_paths(folder: Path) -> dict[str, str]:
    """Return the files' hashes; the paths in them that differ are replaced."""
    options = json.loads((folder / "runs" / "options.json").read_text())["options"]
    roots = {
        "<raw>": Path(options["input_video_path"]),
        "<out>": Path(options["output_clip_path"]),
    }
    return tree(folder, roots)


def test_archive_in_and_out_is_as_the_same_run_on_folders(
    archives: ArchiveServer, raw: Path, tmp_path: Path, capsys: Capture
) -> None:
    archives.objects["/in.zip"] = zipped(raw)
    source, target = archives.url("/in.zip"), archives.url("/out.zip")
    urls = ("--input_presigned_s3_url", source, "--output_presigned_s3_url", target)
    scratch = tmp_path / "scratch"
    # In a process of its own: the level of logging is one for all of a process.
    ended = use_process("split", *urls, *QUICK, "--verbose", "--scratch_path", scratch)
    assert ended.status == 0, ended.err
    assert shown_url(source) in ended.err
    assert shown_url(target) in ended.out
    sent = unzipped(archives.objects["/out.zip"], tmp_path / "sent")
    assert leaks(ended, sent) == []
    assert list(scratch.iterdir()) == [], "nothing stays"
    local = tmp_path / "local"
    paths = ("--input_video_path", raw, "--output_clip_path", local)
    same = use(capsys, "split", *paths, *QUICK, "--id_root", shown_url(source))
    assert same.status == 0, same.err
    expected = same_but_for_paths(local)
    assert same_but_for_paths(sent) == expected
    assert sum(rel.startswith("clips/") for rel in expected) == 4
    stored = json.loads((sent / "runs" / "options.json").read_text())["options"]
    assert stored["input_presigned_s3_url"] == stored["output_presigned_s3_url"] == "*" * 10


def test_curate_sends_its_dataset_too_in_parts(
    archives: ArchiveServer, raw: Path, tmp_path: Path, capsys: Capture
) -> None:
    parts = [archives.url(f"/part{number}") for number in range(2)]
    multipart = {"uploadId": SIGNATURE, "key": "out.zip", "parts": parts}
    config = tmp_path / "config.json"
    folders = Curated.below(tmp_path / "out", raw)
    options = {
        "pipeline": "curate",
        "input_video_path": str(raw),
        "output_clip_path": str(folders.out),
        "output_presigned_multipart": multipart,
        # The parts win.
        "output_presigned_s3_url": archives.url("/never"),
    }
    config.write_text(json.dumps(options))
    ended = use(capsys, "curate", "--config", config, *QUICK)
    assert ended.status == 0, ended.err
    assert set(archives.objects) == {"/part0"}
    sent = unzipped(archives.objects["/part0"], tmp_path / "sent")
    assert leaks(ended, sent, folders.out, folders.dataset) == []
    assert tree(sent / "webdataset", {}) == tree(folders.dataset, {})
    assert any((sent / "webdataset").rglob("*.tar"))
    assert {path.name for path in (sent / "clips").iterdir()} == {
        path.name for path in (folders.out / "clips").iterdir()
    }


@pytest.mark.parametrize("scratch_again", ["scratch", "another scratch"])
def test_a_killed_run_goes_on_where_its_output_was_kept(
    archives: ArchiveServer, raw: Path, tmp_path: Path, capsys: Capture, scratch_again: str
) -> None:
    archives.objects["/in.zip"] = zipped(raw)
    out = tmp_path / "out"
    command = [
        *("split", "--input_presigned_s3_url", archives.url("/in.zip"), *QUICK),
        *("--output_clip_path", out, "--scratch_path", tmp_path / "scratch"),
        *("--output_presigned_s3_url", archives.url("/out.zip")),
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "beam_pipeline", *map(str, command)],
        env=environment({}),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while not (made := list((out / "metas").rglob("*.json"))) and process.poll() is None:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert made, "the run ended before its first clip"
    assert len(made) < 4, "the run ended before it was killed"
    kept = {path: path.stat().st_mtime_ns for path in made}
    if scratch_again != "scratch":
        # Another machine, say: what was unpacked is gone.
        shutil.rmtree(tmp_path / "scratch")
    ended = use(capsys, *command, "--scratch_path", tmp_path / scratch_again)
    assert ended.status == 0, ended.err
    assert {path: path.stat().st_mtime_ns for path in made} == kept
    assert archives.seen.count("GET /in.zip ") == 2
    sent = unzipped(archives.objects["/out.zip"], tmp_path / "sent")
    assert len(list((sent / "clips").iterdir())) == 4
    assert leaks(ended, sent, out) == []
    assert not list((out / "failures").rglob("*.json"))
    # What the killed run had unpacked is gone too.
    assert list((tmp_path / scratch_again).iterdir()) == []


def test_an_output_with_failed_videos_is_sent_and_the_status_tells(
    archives: ArchiveServer, raw: Path, tmp_path: Path, capsys: Capture
) -> None:
    content = io.BytesIO(zipped(raw, ""))
    with zipfile.ZipFile(content, "a") as archive:
        archive.writestr("broken.mp4", b"no video")
    archives.objects["/in.zip"] = content.getvalue()
    urls = ("--input_presigned_s3_url", archives.url("/in.zip"))
    sent_to = ("--output_presigned_s3_url", archives.url("/out.zip"))
    ended = use(capsys, "split", *urls, *sent_to, *QUICK)
    assert ended.status == 1
    sent = unzipped(archives.objects["/out.zip"], tmp_path / "sent")
    assert len(list((sent / "failures").rglob("*.json"))) == 1


def test_two_runs_never_unpack_into_one_folder(tmp_path: Path) -> None:
    name = archive_folder_name("https://b/in.zip", "/out")
    assert name != archive_folder_name("https://b/in.zip", "/other")
    with run_scratch(str(tmp_path), name) as folder:
        (folder / "a.mp4").write_bytes(b"1")
        with pytest.raises(PreflightError, match="is in use"), run_scratch(str(tmp_path), name):
            pytest.fail("both have it")
        assert (folder / "a.mp4").exists()
    with run_scratch(str(tmp_path), name) as folder:
        assert [path.name for path in folder.iterdir()] == ["run.lock"]
    assert list(tmp_path.iterdir()) == []


class TestWrongUse:
    def test_an_input_that_cannot_be_fetched_or_unpacked(
        self, archives: ArchiveServer, tmp_path: Path, capsys: Capture
    ) -> None:
        bomb, away = io.BytesIO(), io.BytesIO()
        with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.mp4", bytes(80 << 20))
        with zipfile.ZipFile(away, "w") as archive:
            archive.writestr("../../a.mp4", b"1")
        archives.objects.update(
            {
                "/bomb.zip": bomb.getvalue(),
                "/away.zip": away.getvalue(),
                "/short.zip": bomb.getvalue()[:-100],
            }
        )
        expected = {
            "/bomb.zip": "more than 100 times its packed size",
            "/away.zip": "leads out of the archive",
            "/short.zip": "its end is missing",
            "/none.zip": "HTTP 404",
        }
        for path, why in expected.items():
            url = archives.url(path)
            ended = use(
                *(capsys, "split", "--input_presigned_s3_url", url),
                *("--output_clip_path", tmp_path / "out", "--scratch_path", tmp_path / "scratch"),
            )
            assert ended.status == 1
            ended.told(f"input_presigned_s3_url={shown_url(url)}", why)
            assert leaks(ended) == []
            assert not (tmp_path / "out").exists()
            assert list((tmp_path / "scratch").iterdir()) == []

    def test_expired_urls_are_told_before_any_work(self, tmp_path: Path, capsys: Capture) -> None:
        url = f"https://b.invalid/o.zip?X-Amz-Date=20260101T000000Z&X-Amz-Expires=9&s={SIGNATURE}"
        parts = json.dumps({"uploadId": "u", "key": "k", "parts": [url]})
        for option, value, name in (
            ("--input_presigned_s3_url", url, "input_presigned_s3_url"),
            ("--output_presigned_s3_url", url, "output_presigned_s3_url"),
            ("--output_presigned_multipart", parts, "output_presigned_multipart part 1"),
        ):
            paths = ("--input_video_path", tmp_path, "--output_clip_path", tmp_path / "out")
            ended = use(capsys, "split", *paths, option, value)
            assert ended.status == 1
            ended.told(f"{name}=https://b.invalid/o.zip: expired at 2026-01-01 00:00:09 UTC")
            assert leaks(ended) == []

    def test_values_that_are_no_urls(self, tmp_path: Path, capsys: Capture) -> None:
        for option, value in (
            ("--input_presigned_s3_url", f"file:///{SIGNATURE}"),
            ("--output_presigned_s3_url", SIGNATURE),
            ("--output_presigned_multipart", json.dumps({"key": SIGNATURE})),
            ("--output_presigned_multipart", json.dumps({"parts": [1, SIGNATURE]})),
            ("--output_presigned_multipart", json.dumps({"parts": [SIGNATURE]})),
            ("--output_presigned_multipart", SIGNATURE),
        ):
            paths = ("--input_video_path", tmp_path, "--output_clip_path", tmp_path / "out")
            ended = use(capsys, "split", *paths, option, value)
            assert ended.status == 2
            ended.told(option.strip("-"))
            assert leaks(ended) == []

    def test_a_url_at_a_wrong_place_is_not_quoted(self, tmp_path: Path, capsys: Capture) -> None:
        url = f"https://b.invalid/in.zip?X-Amz-Signature={SIGNATURE}"
        config = tmp_path / "config.yaml"
        config.write_text(f"pipeline: split\ninput_presigned_s3_url: {url}: x\n bad: [\n")
        for arguments in (
            ("split", url),
            ("split", "--input_presigned_s3_ulr", url),
            ("split", "--input_video_path", url, "--output_clip_path", tmp_path / "out"),
            ("split", "--config", config),
        ):
            ended = use(capsys, *arguments)
            assert ended.status in (1, 2)
            assert "beam-curate: " in ended.err
            assert leaks(ended) == []

    def test_a_list_of_videos_does_not_go_with_an_archive(
        self, archives: ArchiveServer, tmp_path: Path, capsys: Capture
    ) -> None:
        ended = use(
            *(capsys, "split", "--input_presigned_s3_url", archives.url("/in.zip")),
            *("--input_video_list_json_path", tmp_path / "list.json"),
            *("--output_clip_path", tmp_path / "out"),
        )
        assert ended.status == 2
        ended.told("input_video_list_json_path and input_presigned_s3_url exclude each other")
        assert archives.seen == []

    @pytest.mark.parametrize("is_kept", [True, False])
    def test_an_output_that_cannot_be_sent(
        self, is_kept: bool, archives: ArchiveServer, raw: Path, tmp_path: Path, capsys: Capture
    ) -> None:
        url = archives.url("/out.zip", signature=SIGNATURE + "x")
        kept = ("--output_clip_path", tmp_path / "out") if is_kept else ()
        ended = use(
            *(capsys, "split", "--input_video_path", raw, *kept, *QUICK),
            *("--output_presigned_s3_url", url, "--limit", "1"),
        )
        assert ended.status == 1
        ended.told(f"output_presigned_s3_url={shown_url(url)}: HTTP 403 SignatureDoesNotMatch")
        assert leaks(ended) == []
        assert ("What is finished stays" in ended.err) == is_kept
        assert ("The output is gone" in ended.err) != is_kept
        assert (tmp_path / "out" / "clips").exists() == is_kept
        if is_kept:
            mended = ("--output_presigned_s3_url", archives.url("/out.zip"))
            again = use(capsys, "split", "--input_video_path", raw, *kept, *QUICK, *mended)
            assert again.status == 0
            assert "sent" in again.out
            sent = unzipped(archives.objects["/out.zip"], tmp_path / "sent")
            assert len(list((sent / "clips").iterdir())) == 4

    def test_a_plan_sends_nothing(
        self, archives: ArchiveServer, raw: Path, tmp_path: Path, capsys: Capture
    ) -> None:
        archives.objects["/in.zip"] = zipped(raw)
        urls = ("--input_presigned_s3_url", archives.url("/in.zip"))
        sent_to = ("--output_presigned_s3_url", archives.url("/out.zip"))
        ended = use(capsys, "plan", "split", *urls, *sent_to, *QUICK)
        assert ended.status == 0, ended.err
        assert "2 videos" in ended.out
        assert archives.seen == ["GET /in.zip "]
