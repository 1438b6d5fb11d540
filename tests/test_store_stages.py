"""Runs in S3 that need more than one look: shots, a stage turned on later, odd names, lists."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from make_video import VideoSpec, make_video
from store_servers import OWNER, S3Server, profiles_file
from wrong_use import QUICK, use

pytestmark = pytest.mark.store

Capture = pytest.CaptureFixture[str]
NAMES = ("a b.mp4", "sub/c+%20é#?.mp4", "sub/d,e'f\"g.mp4")
CONTENT = (
    *("--splitting_algorithm", "content", "--transnetv2_min_length_s", "0.2", "--no-predict"),
    *("--transnetv2_min_length_frames", "5"),
)
LATER = ("--motion_filter", "score-only", "--generate_previews")


@dataclass
class World:
    """The same videos in a folder and in a bucket."""

    client: Any
    folder: Path
    bucket: str
    capsys: Capture

    def run(self, *options: str) -> str:
        """Run ``split`` from bucket to bucket; return what it printed."""
        where = ("--input_video_path", f"s3://{self.bucket}/raw")
        out = ("--output_clip_path", f"s3://{self.bucket}/out")
        ended = use(self.capsys, "split", *where, *out, *options)
        assert ended.status == 0, ended.err
        return ended.out

    def run_locally(self, *options: str) -> None:
        """Run it from folder to folder, with the ids of the bucket's videos."""
        where = ("--input_video_path", self.folder / "raw", "--id_root", f"s3://{self.bucket}/raw")
        out = ("--output_clip_path", self.folder / "out")
        ended = use(self.capsys, "split", *where, *out, *options)
        assert ended.status == 0, ended.err

    def stored(self, *folders: str) -> dict[str, bytes]:
        """Return what lies in these folders of the output in the bucket."""
        found = {}
        for folder in folders:
            listed = self.client.list_objects_v2(Bucket=self.bucket, Prefix=f"out/{folder}/")
            for one in listed.get("Contents", ()):
                body = self.client.get_object(Bucket=self.bucket, Key=one["Key"])["Body"]
                found[one["Key"].removeprefix("out/")] = body.read()
        return found

    def local(self, *folders: str) -> dict[str, bytes]:
        """Return what lies in these folders of the local output."""
        out = self.folder / "out"
        return {
            path.relative_to(out).as_posix(): path.read_bytes()
            for folder in folders
            for path in (out / folder).rglob("*")
            if path.is_file()
        }

    def motion(self) -> list[tuple[Any, Any]]:
        """Return what is known of the clips' motion, which must be the same in both outputs."""
        stored, local = (
            [json.loads(data) for _, data in sorted(found.items())]
            for found in (self.stored("metas"), self.local("metas"))
        )
        names = ("motion_score", "motion_missing")
        known = [tuple(meta.get(name) for name in names) for meta in stored]
        assert known == [tuple(meta.get(name) for name in names) for meta in local]
        return known


@pytest.fixture
def world(
    s3_server: S3Server, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> World:
    bucket, client = s3_server.new_bucket(), s3_server.client()
    for name in NAMES:
        path = tmp_path / "raw" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        make_video(path, VideoSpec(seconds=2, size=(96, 64)))
        client.put_object(Bucket=bucket, Key=f"raw/{name}", Body=path.read_bytes())
    file = profiles_file(tmp_path / "profiles", {"default": (OWNER, s3_server.address)})
    monkeypatch.setenv("COSMOS_S3_PROFILE_PATH", str(file))
    return World(client, tmp_path, bucket, capsys)


def test_a_stage_turned_on_later_needs_the_clips_only(world: World) -> None:
    world.run(*QUICK)
    before = world.stored("clips")
    for name in NAMES:
        world.client.delete_object(Bucket=world.bucket, Key=f"raw/{name}")
    assert "3 curated, 0 failed" in world.run(*QUICK, *LATER)
    world.run_locally(*QUICK, *LATER)
    assert world.stored("clips") == before == world.local("clips")
    assert len(before) == 6
    assert world.stored("previews") == world.local("previews") != {}
    assert (None, None) not in world.motion()


def test_shots_are_found_as_in_a_folder(world: World) -> None:
    world.run(*CONTENT)
    world.run_locally(*CONTENT)
    assert world.stored("clips") == world.local("clips") != {}
    indexes = [key for key in world.stored(".work") if key.startswith(".work/index/")]
    assert len(indexes) == len(NAMES), "other machines find them"


def test_a_list_names_what_is_read(world: World, tmp_path: Path) -> None:
    listed = [f"s3://{world.bucket}/raw/{name}" for name in NAMES[1:]]
    uri = f"s3://{world.bucket}/list.json"
    world.client.put_object(Bucket=world.bucket, Key="list.json", Body=json.dumps(listed))
    world.run(*QUICK, "--input_video_list_json_path", uri)
    records = world.stored("processed_videos")
    assert set(records) == {f"processed_videos/{name}.json" for name in NAMES[1:]}


def test_a_configuration_file_may_lie_in_a_bucket(world: World) -> None:
    values = {
        "pipeline": "split",
        "args": {"input_video_path": "s3://x/raw", "output_clip_path": "s3://x/raw/in"},
    }
    world.client.put_object(Bucket=world.bucket, Key="job.json", Body=json.dumps(values))
    ended = use(world.capsys, "plan", f"s3://{world.bucket}/job.json", *QUICK)
    assert ended.status == 1
    ended.told("input_video_path=s3://x/raw", "cannot be listed")
    ended = use(world.capsys, "plan", f"s3://{world.bucket}/none.json", *QUICK)
    assert ended.status == 2
    ended.told(f"s3://{world.bucket}/none.json", "no such configuration file")


def test_overwrite_removes_what_is_the_program_s(world: World) -> None:
    world.run(*QUICK)
    before = world.stored("clips")
    world.client.put_object(Bucket=world.bucket, Key="out/notes.txt", Body=b"mine")
    world.client.put_object(Bucket=world.bucket, Key="out/clips/mine.txt", Body=b"mine")
    world.run(*QUICK, "--fixed_stride_split_duration", "2", "--overwrite")
    after = world.stored("clips")
    assert after.pop("clips/mine.txt") == b"mine"
    assert len(after) == len(NAMES)
    assert not set(after) & set(before)


def test_a_path_that_leaves_no_room_for_a_key_is_left_out_by_name(world: World) -> None:
    # Each part has 200 bytes; with the output's own folders before them six are too many.
    deep = world.folder / "deep" / "/".join(["x" * 200] * 5)
    deep.mkdir(parents=True)
    (deep / "long.mp4").write_bytes((world.folder / "raw" / NAMES[0]).read_bytes())
    (world.folder / "deep" / "short.mp4").write_bytes((deep / "long.mp4").read_bytes())
    where = ("--input_video_path", world.folder / "deep")
    out = ("--output_clip_path", f"s3://{world.bucket}/out")
    ended = use(world.capsys, "split", *where, *out, *QUICK)
    assert ended.status == 0, ended.err
    [record] = (data for key, data in world.stored("runs").items() if key.endswith("0001.json"))
    assert b"has a path of 1013 bytes below the input; at most 985 fit" in record
    assert set(world.stored("processed_videos")) == {"processed_videos/short.mp4.json"}


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("raw/a//b.mp4", "an empty part"),
        ("raw/../b.mp4", "a part '..'"),
        ("raw/x/./b.mp4", "a part '.'"),
    ],
)
def test_a_key_that_is_no_path_is_left_out_by_name(key: str, reason: str) -> None:
    """The server of the tests cannot hold such keys; AWS can."""
    from transforms.ingest.list_videos import name_problem

    problem = name_problem(key.removeprefix("raw/"))
    assert problem is not None
    assert reason in problem
