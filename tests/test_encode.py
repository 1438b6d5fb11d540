"""The encoder: what is resolved, refused, and opened."""

from __future__ import annotations

import dataclasses
import json

import av
import pytest
from pydantic import ValidationError

from transforms.errors import PreflightError
from transforms.media.encode import (
    EncodeSettings,
    encoder_build,
    resolve_encoder,
    working_encoders,
)
from transforms.media.transcode_options import Transcode


def test_auto_is_libx264_at_upstreams_bit_rate() -> None:
    settings, warning = resolve_encoder(Transcode())

    assert warning is None
    assert (settings.codec, settings.preset, settings.threads) == ("libx264", "veryfast", 1)
    assert settings.crf is None
    assert settings.bit_rate(input_kbit=123) == 4_000_000
    assert settings.passthrough
    assert dict(settings.options)["x264-params"].startswith("cpu-independent=1:keyint=infinite")


def test_upstreams_default_encoder_is_replaced_with_one_warning() -> None:
    settings, warning = resolve_encoder(Transcode(transcode_encoder="libopenh264"))

    assert settings.codec == "libx264"
    assert settings.bit_rate(input_kbit=1) == 4_000_000
    assert warning is not None
    assert "libopenh264" in warning
    assert "libx264" in warning
    assert "\n" not in warning


def test_input_bit_rate_counts_1000_bits_per_k() -> None:
    settings, _ = resolve_encoder(Transcode(transcode_use_input_video_bit_rate=True))

    assert settings.bit_rate(input_kbit=1234) == 1_234_000


def test_crf_replaces_the_bit_rate() -> None:
    settings, _ = resolve_encoder(Transcode(transcode_crf=23))

    assert settings.bit_rate(input_kbit=1234) == 0
    assert settings.codec_options()["crf"] == "23"


@pytest.mark.parametrize(
    "options",
    [
        {"transcode_encoder": "libx264"},
        {"transcode_preset": "medium"},
        {"transcode_crf": 20},
        {"transcode_use_input_video_bit_rate": True},
        {"transcode_encoder_threads": 2},
    ],
)
def test_any_explicit_encoding_option_turns_passthrough_off(options: dict[str, object]) -> None:
    settings, _ = resolve_encoder(Transcode.model_validate(options))

    assert not settings.passthrough


def test_worker_options_leave_passthrough_on() -> None:
    transcode = Transcode(transcode_cpus_per_worker=2.0, transcode_ffmpeg_batch_size=4)

    assert not transcode.asks_for_encoding


def test_crf_and_input_bit_rate_exclude_each_other() -> None:
    with pytest.raises(ValidationError, match="exclude each other"):
        Transcode(transcode_crf=20, transcode_use_input_video_bit_rate=True)


def test_unknown_encoder_is_refused_with_the_choices() -> None:
    with pytest.raises(ValidationError, match="h264_nvenc"):
        Transcode.model_validate({"transcode_encoder": "h264_vaapi"})


def test_options_not_built_say_so() -> None:
    assert Transcode().not_built() is None
    assert "transcode_use_hwaccel" in str(Transcode(transcode_use_hwaccel=True).not_built())


def test_absent_encoder_lists_what_there_is() -> None:
    if "h264_nvenc" in working_encoders():
        pytest.skip("this machine has an NVIDIA encoder")

    with pytest.raises(PreflightError, match=r"h264_nvenc: .* work here: libx264\. Choose"):
        resolve_encoder(Transcode(transcode_encoder="h264_nvenc"))


def test_nvenc_gets_upstreams_options() -> None:
    settings = EncodeSettings("h264_nvenc", "", 1, None, 4000, False, False, ())
    assert settings.codec_options()["cq"] == "21"
    assert dataclasses.replace(settings, crf=27.5).codec_options()["cq"] == "27.5"


def test_settings_survive_json() -> None:
    settings, _ = resolve_encoder(Transcode(transcode_crf=20))

    stored = json.loads(json.dumps(dataclasses.asdict(settings)))

    assert EncodeSettings(**stored) == settings


def test_build_names_libx264_and_pyav() -> None:
    name, core, number, slash, library, version = encoder_build().split(" ")

    assert (name, core, slash, library, version) == ("libx264", "core", "/", "av", av.__version__)
    assert int(number) >= 150
