"""Real object stores on this machine: versitygw (S3) and fake-gcs-server (GCS)."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage as google_storage

FOLDER_VARIABLE = "BEAM_CURATE_STORE_BIN"
REGION = "us-east-1"
READ = ("s3:GetObject",)
LIST = ("s3:ListBucket",)
WRITE = ("s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload")
_ROOT = Path(__file__).resolve().parent.parent
_START_SECONDS = 30.0


@dataclass(frozen=True)
class Account:
    """Who asks; the secret stands in no message of the program, which tests search for it."""

    key: str
    secret: str


OWNER = Account("ownerkey0123456789", "ownersecret-never-to-be-printed")
OTHER = Account("otherkey0123456789", "othersecret-never-to-be-printed")
"""May do nothing but what a bucket's policy allows: see ``S3Server.allow``."""
WRONG_SECRET = Account(OWNER.key, "wrongsecret-never-to-be-printed")
UNKNOWN = Account("unknownkey01234567", "unknownsecret-never-to-be-printed")


@dataclass
class S3Server:
    """A running versitygw; below ``root`` each bucket is a folder."""

    root: Path
    port: int
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def address(self) -> str:
        """Its URL."""
        return f"http://127.0.0.1:{self.port}"

    def client(self, account: Account = OWNER, *, address: str = "") -> Any:
        """Return a boto3 client, which shares nothing with the program under test."""
        return _client(address or self.address, account)

    def new_bucket(self) -> str:
        """Make an empty bucket, which belongs to ``OWNER``, and return its name."""
        name = f"bucket-{uuid.uuid4().hex[:12]}"
        self.client().create_bucket(Bucket=name)
        return name

    def allow(self, bucket: str, actions: tuple[str, ...], account: Account = OTHER) -> None:
        """Allow an account these actions in a bucket, and nothing else."""
        of_bucket = [action for action in actions if action in LIST]
        of_objects = [action for action in actions if action not in LIST]
        resource = f"arn:aws:s3:::{bucket}"
        statements = [
            {"Effect": "Allow", "Principal": {"AWS": [account.key]}, "Action": some, "Resource": to}
            for some, to in ((of_bucket, resource), (of_objects, resource + "/*"))
            if some
        ]
        policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
        self.client().put_bucket_policy(Bucket=bucket, Policy=policy)

    def start(self) -> None:
        """Start it, on the same port and with the same objects as before."""
        self.process = subprocess.Popen(
            [
                program("versitygw"),
                *("--port", f"127.0.0.1:{self.port}", "--health", "/healthz", "--quiet"),
                *("--region", REGION, "--iam-dir", str(self.root.parent / "iam")),
                # Attributes in files: not every file system that holds temporary files has xattrs.
                *("posix", "--sidecar", str(self.root.parent / "sidecar"), str(self.root)),
            ],
            env={**os.environ, "ROOT_ACCESS_KEY": OWNER.key, "ROOT_SECRET_KEY": OWNER.secret},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _wait_for(f"{self.address}/healthz", self.process)

    def kill(self) -> None:
        """End it at once, as a machine that loses power; the objects stay."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@dataclass(frozen=True)
class GcsServer:
    """A running fake-gcs-server: it knows no credentials and checks no signature."""

    port: int

    @property
    def address(self) -> str:
        """Its URL."""
        return f"http://127.0.0.1:{self.port}"

    def client(self) -> google_storage.Client:
        """Return a client, which shares nothing with the program under test."""
        return google_storage.Client(
            project="test",
            credentials=AnonymousCredentials(),
            client_options={"api_endpoint": self.address},
        )

    def new_bucket(self) -> str:
        """Make an empty bucket and return its name."""
        name = f"bucket-{uuid.uuid4().hex[:12]}"
        self.client().create_bucket(name)
        return name

    def environment(self) -> dict[str, str]:
        """Return the variables by which Google's client finds it."""
        return {"STORAGE_EMULATOR_HOST": self.address}


@contextlib.contextmanager
def running_s3(folder: Path) -> Iterator[S3Server]:
    """Run versitygw with its objects below ``folder``, which is absolute, until the context ends.

    It knows the accounts ``OWNER`` and ``OTHER``.
    """
    for name in ("root", "iam", "sidecar"):
        (folder / name).mkdir()
    other = {"access": OTHER.key, "secret": OTHER.secret, "role": "user"}
    other_ids = dict.fromkeys(("userID", "groupID", "projectID"), 0)
    users = {"accessAccounts": {OTHER.key: {**other, **other_ids}}}
    (folder / "iam" / "users.json").write_text(json.dumps(users))
    server = S3Server(folder / "root", free_port())
    server.start()
    try:
        yield server
    finally:
        server.kill()


@contextlib.contextmanager
def running_gcs(*, public_address: str = "") -> Iterator[GcsServer]:
    """Run fake-gcs-server until the context ends.

    Args:
        public_address: URL by which clients reach it when a proxy stands in front; it hands out
            links, and clients would follow them past the proxy.
    """
    port = free_port()
    public = public_address or f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        [
            program("fake-gcs-server"),
            *("-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-backend", "memory"),
            *("-public-host", public.removeprefix("http://"), "-external-url", public),
            *("-log-level", "error"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(f"http://127.0.0.1:{port}/_internal/healthcheck", process)
        yield GcsServer(port)
    finally:
        process.kill()
        process.wait()


def profiles_file(path: Path, profiles: Mapping[str, tuple[Account, str]]) -> Path:
    """Write a credentials file and return its path.

    Args:
        path: Where to write it.
        profiles: Name of a profile to account and endpoint.
    """
    lines = []
    for name, (account, endpoint) in profiles.items():
        lines += [
            f"[{name}]",
            f"aws_access_key_id = {account.key}",
            f"aws_secret_access_key = {account.secret}",
            f"endpoint_url = {endpoint}",
            f"region = {REGION}",
        ]
    path.write_text("\n".join(lines) + "\n")
    return path


def program(name: str) -> str:
    """Return the path of a server's program.

    Without it the test is skipped, or fails when ``REQUIRE_STORE=1`` says that it must run.
    """
    folders = [os.environ.get(FOLDER_VARIABLE, ""), str(_ROOT / ".bin")]
    path = os.pathsep.join([*filter(None, folders), os.environ.get("PATH", "")])
    found = shutil.which(name, path=path)
    if found is not None:
        return found
    problem = f"{name} must lie in ${FOLDER_VARIABLE}, .bin or PATH: .ci/install_store_servers"
    if os.environ.get("REQUIRE_STORE") == "1":
        pytest.fail(problem)
    pytest.skip(problem)


@functools.cache
def _client(address: str, account: Account) -> Any:
    return boto3.session.Session().client(
        "s3",
        endpoint_url=address,
        aws_access_key_id=account.key,
        aws_secret_access_key=account.secret,
        region_name=REGION,
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
    )


def free_port() -> int:
    """Return a port on which nobody listens now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the server at {url} ended with status {process.returncode}")
        with (
            contextlib.suppress(urllib.error.URLError, ConnectionError),
            urllib.request.urlopen(url, timeout=5),
        ):
            return
        time.sleep(0.05)
    raise RuntimeError(f"the server at {url} did not answer within {_START_SECONDS} s")
