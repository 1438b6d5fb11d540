"""Which credentials open what: routes, the credentials file, and what is wrong with it."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import traceback
from dataclasses import replace
from pathlib import Path

import pytest
from botocore.exceptions import ConnectTimeoutError
from shard_runs import dataset_run
from wrong_use import environment

from beam_pipeline.configuration.config import load_config
from beam_pipeline.configuration.settled import complete
from beam_pipeline.preparation.routes import routes_of
from transforms.errors import CurateError, PreflightError
from transforms.run_context import RunContext
from transforms.storage.endpoints import shown_endpoint
from transforms.storage.interface import StoreAwayError
from transforms.storage.routes import StorageRoute, register, route_for, routes_variable
from transforms.storage.s3 import S3Storage
from transforms.storage.s3_client import make_client
from transforms.storage.s3_errors import named_errors
from transforms.storage.s3_profiles import resolve

SECRET = "secret-100%-of/it+never=shown"
FILE = f"""\
[default]
aws_access_key_id = one
aws_secret_access_key = {SECRET}
[profile two]
aws_access_key_id = two
aws_secret_access_key = {SECRET}2
aws_session_token = token-never-shown
endpoint_url = http://127.0.0.1:9000
region = eu-central-1
[half]
aws_access_key_id = three
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "creds"
    path.write_text(FILE)
    return str(path)


@pytest.fixture(autouse=True)
def no_credentials_of_the_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith("AWS_") or name == "COSMOS_S3_PROFILE_PATH":
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "aws_config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "aws_credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


class TestRoutes:
    def test_the_longest_prefix_holds_by_whole_components(self) -> None:
        register(
            [
                StorageRoute("s3://routes-a/in", "reader"),
                StorageRoute("s3://routes-a/in/deep/", "deeper"),
                StorageRoute("s3://routes-a/in/list.json", "lister"),
            ]
        )
        profiles = {
            "s3://routes-a/in/v.mp4": "reader",
            "s3://routes-a/in": "reader",
            "s3://routes-a/in/deep/v.mp4": "deeper",
            "s3://routes-a/in/deep": "deeper",
            "s3://routes-a/in/list.json": "lister",
            "s3://routes-a/inner/v.mp4": "default",
            "s3://routes-b/in/v.mp4": "default",
        }
        assert {uri: route_for(uri).profile for uri in profiles} == profiles

    def test_the_later_of_two_holds(self) -> None:
        register([StorageRoute("s3://routes-c", "old")])
        register([StorageRoute("s3://routes-c/", "new")])
        assert route_for("s3://routes-c/x").profile == "new"

    def test_who_unpickles_a_run_can_open_what_it_names(self, tmp_path: Path) -> None:
        route = StorageRoute("s3://routes-d/in", "reader", "/creds")
        context = RunContext(
            root="s3://routes-d/out",
            run_id="r",
            scratch="",
            progress_folder="",
            stages=(),
            spans_fingerprint="",
            routes=(route,),
        )
        assert route_for("s3://routes-d/in/x") == route, "also where it was made"
        _in_another_process(tmp_path, pickle.dumps(context), "s3://routes-d/in/x", "reader")

    def test_also_a_dataset_s(self, tmp_path: Path) -> None:
        run = replace(
            dataset_run(tmp_path, tmp_path), routes=(StorageRoute("s3://routes-e", "packer"),)
        )
        assert pickle.loads(pickle.dumps(run)) == run
        _in_another_process(tmp_path, pickle.dumps(run), "s3://routes-e/x", "packer")

    def test_children_inherit_the_table(self) -> None:
        register([StorageRoute("s3://routes-f", "parent's", "/creds")])
        code = (
            "from transforms.storage.routes import route_for; "
            "route = route_for('s3://routes-f/x'); print(route.profile, route.credentials_file)"
        )
        told = _python(code, routes_variable())
        assert told == "parent's /creds"
        assert SECRET not in str(routes_variable())

    def test_the_options_name_them(self, file: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("COSMOS_S3_PROFILE_PATH", file)
        options = {
            "input_video_path": "s3://in/raw/",
            "input_s3_profile_name": "reader",
            "input_video_list_json_path": "s3://lists/l.json",
            "input_video_list_s3_profile_name": "lister",
            "output_clip_path": "s3://out/processed",
            "output_s3_profile_name": "writer",
            "input_semantic_dedup_path": "s3://dedup",
            "input_semantic_dedup_s3_profile_name": "deduper",
        }
        assert set(routes_of(complete(load_config("curate", {}, options)))) == {
            StorageRoute("s3://in/raw", "reader", file),
            StorageRoute("s3://lists/l.json", "lister", file),
            StorageRoute("s3://out/processed", "writer", file),
            StorageRoute("s3://out/webdataset", "writer", file),
            StorageRoute("s3://dedup", "deduper", file),
        }
        shard = {
            "input_clip_path": "s3://out/processed",
            "output_dataset_path": "/local",
            "input_s3_profile_name": "reader",
        }
        assert routes_of(complete(load_config("shard", {}, shard))) == (
            StorageRoute("s3://out/processed", "reader", file),
        )


class TestCredentialsFile:
    def test_sections_by_either_name(self, file: str) -> None:
        one, two = (resolve(StorageRoute("", name, file)) for name in ("default", "two"))
        assert (one.access_key, one.secret_key, one.endpoint_url) == ("one", SECRET, None)
        assert (two.secret_key, two.session_token) == (SECRET + "2", "token-never-shown")
        assert (two.endpoint_url, two.region) == ("http://127.0.0.1:9000", "eu-central-1")

    def test_secrets_are_in_no_text(self, file: str) -> None:
        text = repr([resolve(StorageRoute("", name, file)) for name in ("default", "two")])
        assert "secret-" not in text
        assert "token-" not in text

    def test_a_client_has_what_the_profile_says(self, file: str) -> None:
        client = make_client(resolve(StorageRoute("", "two", file)))
        url = client.generate_presigned_url("get_object", {"Bucket": "bkt", "Key": "k"})
        assert url.startswith("http://127.0.0.1:9000/bkt/k?"), "path style where there is one"
        assert "X-Amz-Algorithm=AWS4-HMAC-SHA256" in url
        assert "X-Amz-Security-Token=token-never-shown" in url
        assert client.meta.region_name == "eu-central-1"
        assert client.meta.config.retries["mode"] == "standard"

    def test_the_variable_names_it_and_may_be_of_another_machine(
        self, file: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("COSMOS_S3_PROFILE_PATH", file)
        assert resolve(StorageRoute("")).access_key == "one"
        elsewhere = StorageRoute("", "two", "/on/the/driver/only")
        assert resolve(elsewhere).access_key == "two"

    @pytest.mark.parametrize(
        ("profile", "content", "needles"),
        [
            ("three", FILE, ("'three'", "default, half, two", "[three]")),
            ("half", FILE, ("[half]", "aws_secret_access_key")),
            ("default", "secret-alone", ("is not an INI file",)),
            ("default", "[default]\nsecret-alone", ("is not an INI file",)),
            ("default", FILE + "[default]\n", ("is not an INI file",)),
            ("default", "", ("which has none",)),
        ],
    )
    def test_what_is_wrong_with_it_is_told_without_its_lines(
        self, tmp_path: Path, profile: str, content: str, needles: tuple[str, ...]
    ) -> None:
        path = tmp_path / "creds"
        path.write_text(content)
        with pytest.raises(PreflightError) as caught:
            resolve(StorageRoute("", profile, str(path)))
        assert not [needle for needle in (*needles, str(path)) if needle not in str(caught.value)]
        assert "secret-" not in str(caught.value)
        assert caught.value.__cause__ is None

    def test_one_that_is_not_there(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("COSMOS_S3_PROFILE_PATH", str(tmp_path / "none"))
        with pytest.raises(PreflightError, match=r"none: there is no such file \(COSMOS_S3_PRO"):
            resolve(StorageRoute(""))


class TestSecretsInAddresses:
    @pytest.mark.parametrize(
        ("url", "text"),
        [
            ("http://127.0.0.1:9000", "http://127.0.0.1:9000"),
            ("https://store.example/v1/", "https://store.example/v1/"),
            ("the default endpoint", "the default endpoint"),
            ("https://me:pass@store.example/v1", "https://store.example/v1"),
            ("https://me:pa@ss/w@store.example", "https://store.example"),
            ("https://me:pass/w@store.example:1", "https://store.example:1"),
            ("https://me:pa?ss@store.example", "https://***"),
            ("https://me:pa#ss@store.example", "https://***"),
            ("https://store.example/v1?key=pass", "https://store.example/v1"),
            ("https://store.example/v1?key=me@pass", "https://***"),
            ("https://store.example/v1#pass", "https://store.example/v1"),
            ("me:pass@store.example", "store.example"),
            ("pass://me@store.example", "store.example"),
            ("HTTP://me:pa\nss@store\n", "HTTP://store\\n"),
        ],
    )
    def test_addresses_are_shown_without_them(self, url: str, text: str) -> None:
        assert shown_endpoint(url) == text

    @pytest.mark.parametrize("url", ["me:p4ss@store.example", "http://[me:p4ss@store.example"])
    def test_a_client_that_cannot_be_made_tells_none(self, file: str, url: str) -> None:
        access = replace(resolve(StorageRoute("", "two", file)), endpoint_url=url)
        with pytest.raises(PreflightError, match=r"two.*: no client .*store\.example") as caught:
            make_client(access)
        assert "p4ss" not in "".join(traceback.format_exception(caught.value))

    @pytest.mark.parametrize("url", ["https://me:p4ss/w@x.invalid", "https://me:p4@ss/w@x.invalid"])
    def test_one_that_cannot_work_tells_none(self, tmp_path: Path, url: str) -> None:
        path = tmp_path / "creds"
        path.write_text(FILE.replace("http://127.0.0.1:9000", url))
        storage = S3Storage(StorageRoute("", "two", str(path)), hasty=True)
        with pytest.raises(CurateError) as caught:
            storage.stat("s3://bkt/key")
        assert not [part for part in ("p4", "ss/w") if part in str(caught.value)]

    def test_what_a_store_refuses_is_told_without_them(self) -> None:
        address = "https://me:p4@ss/w0rd@store.example:9000"
        with (
            pytest.raises(StoreAwayError) as caught,
            named_errors("s3://bkt/key", profile="two", endpoint=address),
        ):
            raise ConnectTimeoutError(endpoint_url=address)
        assert "profile two, https://store.example:9000)" in str(caught.value)
        assert not [secret for secret in ("p4", "ss/w0rd") if secret in str(caught.value)]


class TestAwsChain:
    def test_profiles_of_the_aws_configuration(self, tmp_path: Path) -> None:
        (tmp_path / "aws_credentials").write_text(FILE.replace("profile two", "two"))
        (tmp_path / "aws_config").write_text(
            "[profile two]\nendpoint_url = http://127.0.0.1:9001\n"
        )
        client = make_client(resolve(StorageRoute("", "two")))
        url = client.generate_presigned_url("get_object", {"Bucket": "bkt", "Key": "k"})
        # A credentials file of AWS may hold an endpoint too; the configuration file comes first.
        assert url.startswith("http://127.0.0.1:900")
        assert "X-Amz-Credential=two%2F" in url

    def test_variables(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "fromenv")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9002")
        client = make_client(resolve(StorageRoute("")))
        url = client.generate_presigned_url("get_object", {"Bucket": "bkt", "Key": "k"})
        assert url.startswith("http://127.0.0.1:9002/bkt/k?")
        assert "X-Amz-Credential=fromenv%2F" in url

    def test_an_unknown_profile(self) -> None:
        with pytest.raises(PreflightError, match=r"'nobody': is not in the AWS configuration"):
            make_client(resolve(StorageRoute("", "nobody")))


def _in_another_process(folder: Path, pickled: bytes, uri: str, profile: str) -> None:
    (folder / "pickled").write_bytes(pickled)
    code = (
        "import pathlib, pickle; from transforms.storage.routes import route_for; "
        f"before = route_for({uri!r}).profile; "
        f"pickle.loads(pathlib.Path({str(folder / 'pickled')!r}).read_bytes()); "
        f"print(before, route_for({uri!r}).profile)"
    )
    assert _python(code, {}) == f"default {profile}"


def _python(code: str, variables: dict[str, str]) -> str:
    result = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(variables),
        capture_output=True,
        text=True,
        check=True,
    )
    return result.stdout.strip()
