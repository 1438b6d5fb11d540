"""What is wrong with a store is told before a run starts: bucket, profile, cure, and no secret."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from fault_proxy import FaultProxy
from fault_rules import Answer, Fault, Stall
from make_video import VideoSpec, make_video
from store_servers import (
    LIST,
    OTHER,
    OWNER,
    READ,
    UNKNOWN,
    WRITE,
    WRONG_SECRET,
    Account,
    S3Server,
    free_port,
    profiles_file,
)
from wrong_use import QUICK, Ended, use

pytestmark = pytest.mark.store

Capture = pytest.CaptureFixture[str]
PROBE = r"PUT /\S+/\.tmp-"


@dataclass
class World:
    """Two buckets, a proxy before the server, and a credentials file."""

    server: S3Server
    proxy: FaultProxy
    raw: str
    out: str
    file: Path
    capsys: Capture

    def run(self, *options: str, raw: str = "", out: str = "") -> Ended:
        """Run ``split`` from bucket to bucket."""
        where = ("--input_video_path", raw or self.raw, "--output_clip_path", out or self.out)
        return use(self.capsys, "split", *where, *QUICK, *options)

    def refused(self, *needles: str, **how: str) -> None:
        """Assert that a run is refused soon, in one line, and leaves nothing."""
        options = how.pop("options", "").split()
        started_at = time.monotonic()
        ended = self.run(*options, **how)
        assert time.monotonic() - started_at < 45
        assert ended.status == 1
        ended.told(*needles)
        assert len(ended.complaints) == 1
        for account in (OWNER, OTHER, UNKNOWN, WRONG_SECRET):
            assert account.secret not in ended.out + ended.err
        assert self.keys(self.out) == []

    def keys(self, uri: str) -> list[str]:
        """Return what lies in the bucket of a URI."""
        found = self.server.client().list_objects_v2(Bucket=uri.split("/")[2])
        return [one["Key"] for one in found.get("Contents", ())]


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("preflight") / "a.mp4"
    return make_video(path, VideoSpec(seconds=2, size=(64, 48))).read_bytes()


@pytest.fixture
def world(
    s3_server: S3Server,
    video: bytes,
    tmp_path: Path,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[World]:
    raw, out = s3_server.new_bucket(), s3_server.new_bucket()
    s3_server.client().put_object(Bucket=raw, Key="raw/a.mp4", Body=video)
    with FaultProxy(s3_server.port) as proxy:
        file = profiles_file(
            tmp_path / "profiles",
            {
                "default": (OWNER, s3_server.address),
                "other": (OTHER, s3_server.address),
                "wrong_secret": (WRONG_SECRET, s3_server.address),
                "unknown_key": (UNKNOWN, s3_server.address),
                "down": (OWNER, f"http://127.0.0.1:{free_port()}"),
                "proxied": (OWNER, proxy.address),
            },
        )
        monkeypatch.setenv("COSMOS_S3_PROFILE_PATH", str(file))
        yield World(s3_server, proxy, f"s3://{raw}/raw", f"s3://{out}/out", file, capsys)


@pytest.mark.parametrize("direction", ["input", "output"])
@pytest.mark.parametrize(
    ("profile", "needles"),
    [
        ("wrong_secret", ("SignatureDoesNotMatch", "the secret key is wrong")),
        ("unknown_key", ("InvalidAccessKeyId", "does not know the access key")),
        ("down", ("nothing answers there", "http://127.0.0.1:")),
        ("nobody", ("profile 'nobody'", "is not in the credentials file", "add a section")),
    ],
)
def test_credentials_and_endpoint(
    world: World, direction: str, profile: str, needles: tuple[str, ...]
) -> None:
    path = {"input": f"input_video_path={world.raw}", "output": f"output_clip_path={world.out}"}
    about = () if profile == "nobody" else (path[direction], f"profile {profile}")
    world.refused(*needles, *about, options=f"--{direction}_s3_profile_name {profile}")


def test_a_credentials_file_that_is_not_there(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COSMOS_S3_PROFILE_PATH", str(tmp_path / "none"))
    world.refused(str(tmp_path / "none"), "there is no such file", "COSMOS_S3_PROFILE_PATH")


def test_no_credentials_at_all(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COSMOS_S3_PROFILE_PATH")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    world.refused("there are no credentials", "docs/object-stores.md")


def test_a_bucket_that_is_not_there(world: World) -> None:
    needles = ("NoSuchBucket", "there is no such bucket", "bucket no-such-bucket")
    world.refused(*needles, "input_video_path=", raw="s3://no-such-bucket/raw")
    world.refused(*needles, "output_clip_path=", out="s3://no-such-bucket/out")


def test_an_input_without_a_video(world: World) -> None:
    empty = world.raw + "/none"
    world.refused(f"input_video_path={empty}", raw=empty)


@pytest.mark.parametrize(
    ("actions", "needle"),
    [
        (READ + WRITE, "cannot be listed"),
        (LIST + WRITE, "cannot be read"),
    ],
)
def test_rights_on_the_input(world: World, actions: tuple[str, ...], needle: str) -> None:
    world.server.allow(world.raw.split("/")[2], actions)
    told = (f"input_video_path={world.raw}", needle, "AccessDenied", "profile other", "rights")
    world.refused(*told, options="--input_s3_profile_name other")


@pytest.mark.parametrize(
    ("actions", "needle"),
    [
        (READ + WRITE, "cannot be listed"),
        (LIST + READ, "cannot be written to"),
    ],
)
def test_rights_on_the_output(world: World, actions: tuple[str, ...], needle: str) -> None:
    world.server.allow(world.out.split("/")[2], actions)
    told = (f"output_clip_path={world.out}", needle, "AccessDenied", "profile other", "rights")
    world.refused(*told, options="--output_s3_profile_name other")


def test_the_rights_of_the_page_are_enough(world: World) -> None:
    world.server.allow(world.raw.split("/")[2], LIST + READ)
    world.server.allow(world.out.split("/")[2], LIST + READ + WRITE)
    ended = world.run("--input_s3_profile_name", "other", "--output_s3_profile_name", "other")
    assert ended.status == 0, ended.err
    assert "out/summary.json" in world.keys(world.out)
    left = [key for key in world.keys(world.out) if ".tmp-" in key or "lease" in key]
    assert left == []


def test_the_wrong_region(world: World) -> None:
    body = b"<Error><Code>AuthorizationHeaderMalformed</Code><Message>no</Message></Error>"
    world.proxy.add(".", Answer(400, body), count=None)
    told = ("AuthorizationHeaderMalformed", "the region is wrong", "profile proxied")
    world.refused(*told, options="--output_s3_profile_name proxied")


@pytest.mark.parametrize(
    ("after", "answer", "needle"),
    [
        (
            1,
            Answer(501, b"<Error><Code>NotImplemented</Code><Message>no</Message></Error>"),
            "NotImplemented",
        ),
        (1, Answer(200, headers=(("ETag", '"x"'),)), "it created an object that was there"),
        (
            2,
            Answer(412, b"<Error><Code>PreconditionFailed</Code></Error>"),
            "does not replace an object by its version",
        ),
        (3, Answer(200, headers=(("ETag", '"x"'),)), "replaced an object that had changed"),
    ],
)
def test_a_store_without_conditional_writes(
    world: World, after: int, answer: Answer, needle: str
) -> None:
    world.proxy.add(PROBE, answer, skip=after)
    told = ("conditional writes", needle, "two runs in one output", f"={world.out}")
    world.refused(*told, options="--output_s3_profile_name proxied")


COMPLETED = Answer(
    200,
    b'<?xml version="1.0"?><CompleteMultipartUploadResult><ETag>"x-1"</ETag>'
    b"</CompleteMultipartUploadResult>",
)


def test_a_store_with_conditions_for_whole_objects_only(world: World) -> None:
    world.proxy.add(r"^POST .*uploadId=", COMPLETED)
    told = ("conditional writes for uploads in parts", "two runs in one output", f"={world.out}")
    world.refused(*told, options="--output_s3_profile_name proxied")


def test_the_check_of_uploads_in_parts_leaves_none(world: World) -> None:
    assert world.run("--output_s3_profile_name", "proxied").status == 0
    asked = [one for one in world.proxy.requests if "upload" in one.query.lower()]
    assert [(one.method, one.status) for one in asked] == [
        ("POST", 200),
        ("PUT", 200),
        ("POST", 412),
        ("DELETE", 204),
    ]
    left = world.server.client().list_multipart_uploads(Bucket=world.out.split("/")[2])
    assert left.get("Uploads", []) == []


@pytest.mark.parametrize(
    ("fault", "needles"),
    [
        (Answer(503, b"<Error><Code>SlowDown</Code></Error>"), ("SlowDown", "fewer requests")),
        (Stall(0, 60), ("the store was silent for too long",)),
    ],
)
def test_a_store_that_does_not_answer(world: World, fault: Fault, needles: tuple[str, ...]) -> None:
    world.proxy.add(".", fault, count=None)
    world.refused(*needles, "profile proxied", options="--output_s3_profile_name proxied")


def test_plan_writes_nothing_and_needs_no_right_to_write(world: World) -> None:
    world.server.allow(world.out.split("/")[2], LIST + READ)
    where = ("--input_video_path", world.raw, "--output_clip_path", world.out)
    profile = ("--output_s3_profile_name", "other")
    ended = use(world.capsys, "plan", "split", *where, *QUICK, *profile)
    assert ended.status == 0, ended.err
    assert world.keys(world.out) == []


def test_no_account_of_the_file_is_in_what_the_run_keeps(world: World) -> None:
    account: Account = OWNER
    assert world.run().status == 0
    client = world.server.client()
    bucket = world.out.split("/")[2]
    for key in world.keys(world.out):
        stored = client.get_object(Bucket=bucket, Key=key)
        text = stored["Body"].read() + str(stored["Metadata"]).encode()
        assert account.secret.encode() not in text, key
        assert account.key.encode() not in text, key
