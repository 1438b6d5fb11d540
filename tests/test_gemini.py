"""Captions by the Gemini API, spoken by a real server on loopback."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from caption_server import frames_digest
from gemini_server import EMBEDDER, KEY, MODEL, GeminiServer, gemini_server
from make_video import VideoSpec, make_video
from run_command import Curated

from beam_pipeline.models.caption_engines.gemini import known_model
from transforms.errors import PreflightError
from transforms.formats.clip_meta import ClipMeta
from transforms.models import api_access
from transforms.models.api_access import ApiAccess, gemini_access
from transforms.models.backoff import wait_seconds
from transforms.models.captions.engine import CaptionRequest, EngineGoneError
from transforms.models.captions.gemini_engine import GeminiEngine
from transforms.models.captions.gemini_settings import GeminiSettings
from transforms.records import CaptionAnswer

CUT = (
    *("--fixed_stride_split_duration", "3", "--fixed_stride_min_clip_length_s", "1"),
    *("--captioning_window_size", "32", "--captioning_remainder_threshold", "8"),
    *("--max_failed_share", "0.5"),
)
CAPTIONS = (
    *("--generate_captions", "true", "--captioning_algorithm", "gemini"),
    *("--gemini_model_name", "gemini-tiny", "--gemini_retry_delay_seconds", "0.01"),
)
NUM_WINDOWS = 14
VARIABLES = ("GOOGLE_API_KEY", "GEMINI_API_KEY", "GOOGLE_GEMINI_BASE_URL")

Ask = Callable[..., CaptionAnswer]


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return two videos whose clips all look different, and a text file with a video's name."""
    folder = tmp_path_factory.mktemp("gemini") / "raw"
    folder.mkdir()
    for number, size in enumerate([(64, 48), (96, 64)]):
        make_video(folder / f"{number}.mp4", VideoSpec(seconds=7, size=size))
    (folder / "text.mp4").write_text("no video")
    return folder


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[GeminiServer]:
    """Return a running server that the program knows of."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    known_model.cache_clear()
    with gemini_server() as running:
        monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", running.url)
        monkeypatch.setenv("GEMINI_API_KEY", KEY)
        yield running


@pytest.fixture
def ask(server: GeminiServer, raw: Path) -> Iterator[Ask]:
    """Return a function that asks an engine with given settings about a video."""
    engines = []

    def answer(
        *, text_only: bool = False, schema: str | None = None, **changes: float
    ) -> CaptionAnswer:
        changed = {"max_inline_bytes": 2**20, "retries": 0, "retry_delay_seconds": 0.01} | changes
        settings = GeminiSettings(MODEL, 100, **changed)  # type: ignore[arg-type]
        engine = GeminiEngine(settings, gemini_access())
        engines.append(engine)
        path = None if text_only else str(raw / "0.mp4")
        request = CaptionRequest("w", "what is it?", path, json_schema=schema)
        return engine.submit(request).result(30)

    yield answer
    for engine in engines:
        engine.close()


def check_captions(run: Curated) -> int:
    """Check every caption against the frames of its own window; return how many there are."""
    num_captions = 0
    for clip_id, meta in run.metas().items():
        ClipMeta.model_validate(meta)
        for window in meta["windows"]:
            frames = window["start_frame"], window["end_frame"] + 1
            clip = run.out / "clips" / f"{clip_id}.mp4"
            assert window["gemini_caption"] == f"seen {frames_digest(clip, frames)}"
            assert window["caption_status"] == "success"
            assert (window["gemini_prompt_tokens"], window["gemini_output_tokens"]) == (100, 12)
            num_captions += 1
    return num_captions


def test_every_caption_is_on_its_own_window(
    raw: Path, server: GeminiServer, tmp_path: Path
) -> None:
    run = Curated.below(tmp_path, raw)
    ways = {0: "429", 2: "drop", 3: "500", 5: "garbage", 7: "slow", 9: "odd", 11: "nothing"}
    server.misbehave = ways.get
    # As many as there are bad answers: one window may get them all.
    assert run.curate(*CUT, *CAPTIONS, "--gemini_caption_retries", "6") == 3
    assert check_captions(run) == NUM_WINDOWS
    assert not server.problems
    assert len(server.requests) == NUM_WINDOWS + 6
    assert server.most_at_once > 1
    assert server.requests[0]["generationConfig"] == {"maxOutputTokens": 8192}
    server.requests.clear()
    assert run.curate(*CUT, *CAPTIONS) == 3
    assert server.requests == [], "a rerun sends nothing"


def test_large_windows_are_uploaded_once_and_removed(
    raw: Path, server: GeminiServer, tmp_path: Path
) -> None:
    run = Curated.below(tmp_path, raw)
    server.misbehave = {1: "500"}.get
    server.file_states = ["ACTIVE"]
    assert run.curate(*CUT, *CAPTIONS, "--gemini_max_inline_mb", "0.000001") == 3
    assert check_captions(run) == NUM_WINDOWS
    assert server.num_uploads == NUM_WINDOWS
    assert server.files == {}
    assert not server.problems
    assert "inlineData" not in str(server.requests)


def test_an_upload_is_asked_about_when_it_is_ready(server: GeminiServer, ask: Ask) -> None:
    assert ask(max_inline_bytes=1).status == "success"
    server.file_states = ["FAILED"]
    answer = ask(max_inline_bytes=1, retries=3)
    assert (answer.status, answer.reason) == ("error", "exception")
    assert "the API cannot read the uploaded window" in answer.message
    server.file_states = ["PROCESSING"]
    answer = ask(max_inline_bytes=1, timeout_seconds=0.5)
    assert (answer.status, answer.reason) == ("error", "timeout")
    assert server.files == {}


@pytest.mark.parametrize(
    ("way", "status", "text", "said"),
    [
        ("blocked", "blocked", "", "prompt: SAFETY"),
        ("unsafe", "blocked", "", "SAFETY"),
        ("truncated", "truncated", "A car is", ""),
        ("thoughtful", "error", "", "raise --captioning_max_output_tokens"),
        ("other", "error", "", "stopped by the model (OTHER)"),
        ("odd", "error", "", "no answer of the Gemini API"),
        ("400", "error", "", "this video is not one"),
        ("403", "error", "", "not this one"),
        ("413", "error", "", "lower --gemini_max_inline_mb"),
        ("500", "error", "", "HTTP 500 INTERNAL broken"),
    ],
)
def test_what_becomes_of_a_window(
    server: GeminiServer, ask: Ask, way: str, status: str, text: str, said: str
) -> None:
    server.misbehave = lambda _: way
    answer = ask()
    assert (answer.status, answer.text) == (status, text)
    assert said in answer.message
    if status in ("blocked", "truncated"):
        assert (answer.prompt_tokens, answer.output_tokens) == (100, 12)
        assert answer.reason == ""
    else:
        assert answer.reason == "exception"


def test_what_is_no_passing_fault_is_not_tried_again(server: GeminiServer, ask: Ask) -> None:
    server.misbehave = lambda _: "400"
    assert ask(retries=3).status == "error"
    assert len(server.requests) == 1
    server.misbehave = lambda _: "500"
    assert ask(retries=3).status == "error"
    assert len(server.requests) == 1 + 4


def test_no_answer_in_time_is_a_timeout(server: GeminiServer, ask: Ask) -> None:
    server.misbehave = lambda _: "silent"
    answer = ask(timeout_seconds=0.2)
    assert (answer.status, answer.reason) == ("error", "timeout")


def test_text_alone_can_be_asked(server: GeminiServer, ask: Ask) -> None:
    assert ask(text_only=True).text == "text what is it?"


def test_a_schema_guides_where_the_api_takes_it(server: GeminiServer, ask: Ask) -> None:
    assert ask(schema='{"type": "object"}').status == "success"
    assert server.requests[-1]["generationConfig"] == {
        "responseMimeType": "application/json",
        "responseJsonSchema": {"type": "object"},
        "maxOutputTokens": 100,
    }
    server.misbehave = lambda _: "unguided"
    assert ask(schema='{"type": "object"}').status == "success"
    assert server.requests[-1]["generationConfig"] == {"maxOutputTokens": 100}


def test_the_pause_that_the_api_asks_for_is_kept(server: GeminiServer, ask: Ask) -> None:
    # Its own pause would be a minute: RetryInfo says 0.01 s.
    server.misbehave = {0: "429"}.get
    began_at = time.monotonic()
    assert ask(retries=1, retry_delay_seconds=60.0).status == "success"
    assert time.monotonic() - began_at < 20
    assert wait_seconds(1, base_seconds=60, retry_after="1.5s") == 1.5
    assert wait_seconds(1, base_seconds=60, retry_after="900s") == 120
    assert 30 <= wait_seconds(1, base_seconds=60, retry_after="soon") <= 60


def test_closing_does_not_wait_for_pauses(server: GeminiServer, raw: Path) -> None:
    server.misbehave = lambda _: "500"
    engine = GeminiEngine(
        GeminiSettings(MODEL, None, 2**20, retry_delay_seconds=100.0), gemini_access()
    )
    future = engine.submit(CaptionRequest("w", "?", str(raw / "0.mp4")))
    while not server.requests:
        time.sleep(0.01)
    began_at = time.monotonic()
    engine.close()
    assert time.monotonic() - began_at < 20
    assert future.result(0).message == "the run ends"


def test_what_is_gone_for_all_windows_ends_the_run(server: GeminiServer, ask: Ask) -> None:
    server.misbehave = lambda _: "day"
    with pytest.raises(EngineGoneError, match="the day's quota of models/gemini-tiny is used up"):
        ask(retries=3)
    assert len(server.requests) == 1
    server.key = "another"
    with pytest.raises(EngineGoneError, match="refuses the key or models/gemini-tiny by now") as e:
        ask(retries=3)
    assert KEY not in str(e.value)


def test_an_api_that_is_away_tells_no_password(raw: Path) -> None:
    access = ApiAccess("http://me:p4ss@127.0.0.1:9", KEY)
    engine = GeminiEngine(GeminiSettings(MODEL, None, 2**20, retries=0), access)
    try:
        answer = engine.submit(CaptionRequest("w", "?", str(raw / "0.mp4")))
        with pytest.raises(EngineGoneError, match=r"^http://127\.0\.0\.1:9: the Gemini API"):
            answer.result(30)
    finally:
        engine.close()


def test_an_api_that_dies_ends_the_run_and_the_same_command_goes_on(
    raw: Path, server: GeminiServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Curated.below(tmp_path, raw)
    options = (*CUT, *CAPTIONS, "--gemini_caption_retries", "1")
    server.dies_after = 5
    assert run.curate(*options) == 1
    assert "the Gemini API does not answer any more" in capsys.readouterr().err
    server.dies_after = None
    server.requests.clear()
    assert run.curate(*options) == 3
    assert check_captions(run) == NUM_WINDOWS
    assert len(server.requests) <= NUM_WINDOWS


def test_no_key_is_stored_or_said(
    raw: Path, server: GeminiServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = Curated.below(tmp_path, raw)
    server.misbehave = lambda number: ("500", "drop", "garbage")[number % 3]
    assert run.curate(*CUT, *CAPTIONS, "--verbose", "--gemini_caption_retries", "0") == 3
    said = capfd.readouterr()
    assert KEY not in said.out + said.err
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 10
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []
    windows = [window for meta in run.metas().values() for window in meta["windows"]]
    assert {window["caption_status"] for window in windows} == {"error"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ["--gemini_model_name", "gemini-huge"],
            f"does not have models/gemini-huge; it has {MODEL}:",
        ),
        (["--gemini_model_name", EMBEDDER], "cannot caption (it has embedContent"),
        (["--gemini_model_name", "../v2/x?y"], "is no name of a model"),
    ],
)
def test_a_wrong_model_is_told_before_the_start(
    raw: Path,
    server: GeminiServer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    said: str,
) -> None:
    run = Curated.below(tmp_path, raw)
    assert run.curate(*CUT, *CAPTIONS, *options) in (1, 2)
    assert said in capsys.readouterr().err
    assert not run.out.exists()
    assert server.requests == []


def test_a_wrong_key_or_address_is_told_before_the_start(
    raw: Path,
    server: GeminiServer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = Curated.below(tmp_path, raw)

    def told() -> str:
        assert run.curate(*CUT, *CAPTIONS) == 1
        return capsys.readouterr().err

    monkeypatch.setenv("GEMINI_API_KEY", "AIza-a-wrong-one")
    said = told()
    assert "refuses the API key (HTTP 400 INVALID_ARGUMENT API key not valid: ***)" in said
    assert "AIza-a-wrong-one" not in said
    monkeypatch.setenv("GEMINI_API_KEY", f"{KEY}\n x")
    said = told()
    assert "the key of the Gemini API holds spaces" in said
    assert KEY not in said
    monkeypatch.setenv("GEMINI_API_KEY", KEY)
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", "http://me:p4ss@127.0.0.1:9")
    said = told()
    assert "http://127.0.0.1:9: does not answer as the Gemini API" in said
    assert "p4ss" not in said
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", "127.0.0.1")
    assert "127.0.0.1 is no address of the Gemini API" in told()
    monkeypatch.delenv("GEMINI_API_KEY")
    assert "no key of the Gemini API is known: set GEMINI_API_KEY" in told()
    assert not run.out.exists()


def test_the_key_may_stand_in_upstream_s_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    file = tmp_path / "config.yaml"
    monkeypatch.setattr(api_access, "CONFIG_PATHS", (str(file), str(file)))
    file.write_text("gemini:\n  api_key: AIza1\n")
    assert gemini_access() == ApiAccess("https://generativelanguage.googleapis.com", "AIza1")
    monkeypatch.setenv("GEMINI_API_KEY", "AIza2")
    monkeypatch.setenv("GOOGLE_API_KEY", "AIza3")
    assert gemini_access().api_key == "AIza3", "as Google's own client has it"
    assert "AIza3" not in repr(gemini_access())
    file.write_text("gemini: [AIza4")
    monkeypatch.delenv("GEMINI_API_KEY")
    with pytest.raises(PreflightError, match="cannot be read as YAML") as error:
        gemini_access()
    assert "AIza4" not in str(error.value)
