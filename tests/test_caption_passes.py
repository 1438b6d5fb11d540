"""Second pass, enhancement, JSON captions, flags and datasets through the whole pipeline, by a real
server that answers with digests of what it was shown."""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import pytest
from caption_server import KEY, CaptionServer, caption_server, frames_digest
from kill_harness import MULTI
from make_video import VideoSpec, make_video
from run_command import Curated

from beam_pipeline.cli import main
from beam_pipeline.models.caption_engines import served
from transforms.formats.caption_stats import CaptionQuality
from transforms.formats.chunk_record import ChunkRecord
from transforms.formats.clip_meta import ClipMeta
from transforms.formats.summary import Summary

CUT = (
    *("--fixed_stride_split_duration", "3", "--fixed_stride_min_clip_length_s", "1"),
    *("--captioning_window_size", "32", "--captioning_remainder_threshold", "8"),
)
CAPTIONS = (
    *("--generate_captions", "true", "--captioning_algorithm", "openai"),
    *("--openai_retry_delay_seconds", "0.01"),
)
ENHANCE = ("--enhance_captions", "--enhance_captions_lm_variant", "openai")
PREDICT = ("--generate_cosmos_predict_dataset", "predict2")
DIGEST = re.compile("[0-9a-f]{64}")
NUM_WINDOWS = 7
SCHEMA = {
    "type": "object",
    "required": ["camera", "seen"],
    "properties": {"camera": {"enum": ["fixed"]}, "seen": {"type": "string"}},
}


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with one video of three clips and seven windows."""
    folder = tmp_path_factory.mktemp("passes") / "raw"
    folder.mkdir()
    make_video(folder / "a.mp4", VideoSpec(seconds=7, size=(64, 48)))
    return folder


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[CaptionServer]:
    """Return a running server that the program knows of, for captions and for texts."""
    served.served_model.cache_clear()
    with caption_server() as running:
        monkeypatch.setenv("OPENAI_BASE_URL", running.url)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        yield running
    assert running.problems == []


def windows_of(run: Curated) -> list[tuple[dict[str, Any], str]]:
    """Return every window's metadata and the digest of its own frames."""
    found = []
    for clip_id, meta in run.metas().items():
        ClipMeta.model_validate(meta)
        clip = run.out / "clips" / f"{clip_id}.mp4"
        for window in meta["windows"]:
            frames = window["start_frame"], window["end_frame"] + 1
            found.append((window, frames_digest(clip, frames)))
    assert len(found) == NUM_WINDOWS
    return found


def prompts(server: CaptionServer) -> list[str]:
    return [body["messages"][0]["content"][-1]["text"] for body in server.requests]


def samples(run: Curated) -> list[dict[str, Any]]:
    """Return the JSON of every sample of the dataset."""
    found = []
    for path in sorted(run.dataset.rglob("metas/*/*.tar")):
        with tarfile.open(path) as tar:
            members = [tar.extractfile(member) for member in tar.getmembers()]
            found += [json.loads(member.read()) for member in members if member is not None]
    return found


def refining(prompt: str, seen: str | None) -> str:
    """Answer a second pass with what it sees and what its prompt quotes of the first."""
    quoted = DIGEST.findall(prompt)
    return f"first {seen}" if not quoted else f"now {seen} then {quoted[0]}"


def test_the_second_pass_sees_the_same_frames_and_the_first_caption(
    raw: Path, server: CaptionServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Curated.below(tmp_path, raw)
    server.says = refining
    server.misbehave = {4: "429", 9: "garbage"}.get
    options = ("--captioning_stage2", "--captioning_stage2_prompt_text", "Better {num_frames}:")
    assert run.curate(*CUT, *CAPTIONS, *options) == 0
    for window, digest in windows_of(run):
        assert window["openai_caption"] == f"now {digest} then {digest}"
        assert (window["openai_prompt_tokens"], window["openai_output_tokens"]) == (200, 14)
        num_frames = window["end_frame"] - window["start_frame"] + 1
        assert f"Better {num_frames}:\n\nfirst {digest}" in prompts(server)
    assert len(server.requests) == 2 * NUM_WINDOWS + 2
    out = capsys.readouterr().out
    assert "Captioning throughput\n" in out
    assert re.search(r"windows +7 with a caption, 0 without\n", out)
    assert re.search(r"prompt tokens +1,400 \(200 per window\)\n", out)
    assert re.search(r"output tokens +98 \(14 per window\)\n", out)
    assert re.search(r"output tokens per second +\d+\.\d\n", out)
    summary = run.read("summary.json")
    Summary.model_validate(summary)
    seconds = summary["pipeline_run_time"] * 60
    assert summary["output_tokens_per_s"] == round(98 / seconds, 1)
    server.requests.clear()
    assert run.curate(*CUT, *CAPTIONS, *options) == 0
    assert server.requests == []
    assert "Captioning throughput" not in capsys.readouterr().out


def test_a_second_pass_that_fails_keeps_the_first(
    raw: Path, server: CaptionServer, tmp_path: Path
) -> None:
    run = Curated.below(tmp_path, raw)
    server.says = lambda prompt, seen: "" if DIGEST.search(prompt) else f"first {seen}"
    assert run.curate(*CUT, *CAPTIONS, "--captioning_stage2") == 0
    for window, digest in windows_of(run):
        assert (window["openai_caption"], window["caption_status"]) == (
            f"first {digest}",
            "success",
        )
        assert window["second_pass_failure_message"] == "the caption is empty"


def test_enhancement_rewrites_by_text_alone_and_both_captions_stand(
    raw: Path, server: CaptionServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Curated.below(tmp_path, raw)
    with caption_server() as texts:
        monkeypatch.setenv("OPENAI_ENHANCE_BASE_URL", texts.url)
        texts.models = ("tiny-lm",)
        texts.says = lambda prompt, seen: f"polished {DIGEST.findall(prompt)[0]} {seen}"
        assert run.curate(*CUT, *CAPTIONS, *ENHANCE, *PREDICT) == 0
        assert texts.problems == []
        assert {body["model"] for body in texts.requests} == {"tiny-lm"}
        assert {(body["temperature"], body["top_p"]) for body in texts.requests} == {(0.1, 0.001)}
        assert {body["max_tokens"] for body in texts.requests} == {2048}
        assert len(texts.requests) == len(server.requests) == NUM_WINDOWS
    everything: dict[str, str] = {}
    for window, digest in windows_of(run):
        assert window["openai_caption"] == f"seen {digest}"
        assert window["openai_enhanced_caption"] == f"polished {digest} None"
        assert (window["openai_prompt_tokens"], window["enhancement_prompt_tokens"]) == (100, 100)
        everything[digest] = window["openai_enhanced_caption"]
    record = run.read("processed_clip_chunks/a.mp4_0.json")
    ChunkRecord.model_validate(record)
    enhanced = record["all_windows_enhanced_caption"]
    assert enhanced.keys() == record["all_windows"].keys()
    told = [text for clip in enhanced.values() for text in clip.values()]
    assert sorted(told) == sorted(everything.values())
    assert all(
        text.startswith("seen") for clip in record["all_windows"].values() for text in clip.values()
    )
    for sample in samples(run):
        digest = sample["caption"].removeprefix("seen ")
        assert sample["enhanced_caption"] == everything[digest]
    metas = run.out / "cosmos_predict2_video2world_dataset" / "metas"
    assert sorted(path.read_text() for path in metas.iterdir()) == sorted(everything.values())


def test_an_enhancement_that_fails_leaves_the_caption(
    raw: Path, server: CaptionServer, tmp_path: Path
) -> None:
    run = Curated.below(tmp_path, raw)
    server.says = lambda _, seen: f"seen {seen}" if seen else ""
    assert run.curate(*CUT, *CAPTIONS, *ENHANCE) == 0
    for window, digest in windows_of(run):
        assert window["openai_caption"] == f"seen {digest}"
        assert "openai_enhanced_caption" not in window
        assert window["enhancement_failure_message"] == "the caption is empty"


def json_captions(tmp_path: Path, *options: str) -> tuple[str, ...]:
    path = tmp_path / "schema.json"
    path.write_text(json.dumps(SCHEMA))
    return (*CUT, *CAPTIONS, "--captioning_json_schema", str(path), *options)


def test_json_captions_fit_their_schema_whatever_the_model_says_first(
    raw: Path, server: CaptionServer, tmp_path: Path
) -> None:
    run = Curated.below(tmp_path, raw)
    ways = ("{broken", '{"camera": "drone", "seen": ""}', "I'm sorry.")

    def says(prompt: str, seen: str | None) -> str:
        if "An earlier answer does not fit" not in prompt:
            return ways[int(str(seen)[0], 16) % 3]
        fits = json.dumps({"seen": seen, "camera": "fixed"})
        return f'<think>{{"camera": "?"}}</think>Here:\n```json\n{fits}\n```'

    server.says = says
    assert run.curate(*json_captions(tmp_path)) == 0
    for window, digest in windows_of(run):
        assert window["caption_json"] == {"camera": "fixed", "seen": digest}
        assert window["openai_caption"] == f'{{"camera":"fixed","seen":"{digest}"}}'
        assert window["caption_status"] == "success"
    assert len(server.requests) == 2 * NUM_WINDOWS
    for body in server.requests:
        assert body["response_format"]["type"] == "json_schema"
        assert body["response_format"]["json_schema"]["schema"] == SCHEMA
    assert all(sample["caption_json"]["seen"] in sample["caption"] for sample in samples(run))


def test_a_server_that_refuses_to_be_guided_is_asked_without(
    raw: Path, server: CaptionServer, tmp_path: Path
) -> None:
    run = Curated.below(tmp_path, raw)
    server.refuses = frozenset({"response_format"})
    server.says = lambda _, seen: json.dumps({"camera": "fixed", "seen": seen})
    assert run.curate(*json_captions(tmp_path, "--api_caption_batch_size", "1")) == 0
    assert {window["caption_json"]["seen"] for window, _ in windows_of(run)} == {
        digest for _, digest in windows_of(run)
    }
    guided = ["response_format" in body for body in server.requests]
    assert guided == [True] + [False] * NUM_WINDOWS


def test_json_that_never_fits_is_an_error_of_its_window(
    raw: Path, server: CaptionServer, tmp_path: Path
) -> None:
    run = Curated.below(tmp_path, raw)
    server.says = lambda _, __: '{"camera": "drone"}'
    assert run.curate(*json_captions(tmp_path, "--captioning_json_retries", "1"), *PREDICT) == 0
    for window, _ in windows_of(run):
        assert (window["caption_status"], window["caption_failure_reason"]) == (
            "error",
            "exception",
        )
        assert "after 2 answers none fits the schema" in window["caption_failure_message"]
        assert not window.keys() & {"openai_caption", "caption_json"}
        assert window["flag_empty"] is None
        assert window["openai_output_tokens"] == 14
    assert len(server.requests) == 2 * NUM_WINDOWS
    assert not (run.out / "cosmos_predict2_video2world_dataset").exists()


def test_all_of_it_together_in_several_processes(
    raw: Path, server: CaptionServer, tmp_path: Path
) -> None:
    run = Curated.below(tmp_path, raw)

    def says(prompt: str, seen: str | None) -> str:
        quoted = DIGEST.findall(prompt)
        if seen is None:
            return f"polished {quoted[0]}"
        return json.dumps({"camera": "fixed", "seen": f"{seen} of {len(quoted)}"})

    server.says = says
    server.misbehave = {3: "500", 8: "drop", 15: "odd"}.get
    options = ("--captioning_stage2", *ENHANCE, *PREDICT)
    assert run.curate(*json_captions(tmp_path, *options), *MULTI) == 0
    for window, digest in windows_of(run):
        assert window["caption_json"] == {"camera": "fixed", "seen": f"{digest} of 1"}
        assert window["openai_enhanced_caption"] == f"polished {digest}"
    assert len(server.requests) == 3 * NUM_WINDOWS + 3


def test_flags_are_counted_and_can_be_left_out(
    raw: Path, server: CaptionServer, tmp_path: Path
) -> None:
    said = [
        *("I'm sorry, I cannot see what happens in it.", "... !", "Собака бежит через парк утром."),
        *("Say first what moves and how, and how that changes, I was told.", "a a a a a a a b"),
        *("A dog runs through the park.", "A dog runs through the park."),
    ]
    left = list(said)
    server.says = lambda _, __: left.pop(0)
    run = Curated.below(tmp_path, raw)
    language = ("--captioning_language", "en", "--api_caption_batch_size", "1")
    assert run.curate(*CUT, *CAPTIONS, *language) == 0
    odd = {
        window["openai_caption"]: {
            name for name, flag in window.items() if name.startswith("flag_") and flag
        }
        for window, _ in windows_of(run)
    }
    assert {text: flags - {"flag_near_duplicate"} for text, flags in odd.items()} == {
        said[0]: {"flag_refusal"},
        said[1]: {"flag_empty", "flag_length_outlier"},
        said[2]: {"flag_wrong_language"},
        said[3]: {"flag_prompt_echo"},
        said[4]: {"flag_repetition"},
        said[5]: set(),
    }
    stats = run.read("caption_quality_stats.json")
    CaptionQuality.model_validate(stats)
    assert stats["own_flag_counts"] == {
        "flag_empty": 1,
        "flag_truncated": 0,
        "flag_refusal": 1,
        "flag_prompt_echo": 1,
        "flag_wrong_language": 1,
    }
    assert stats["caption_quality_flags_evaluated_count"] == NUM_WINDOWS
    left[:] = said
    without = Curated.below(tmp_path / "without", raw)
    off = ("--no-caption_quality_flags_enabled", "--no-caption_quality_stats_enabled")
    assert without.curate(*CUT, *CAPTIONS, *off) == 0
    assert not (without.out / "caption_quality_stats.json").exists()
    for window, _ in windows_of(without):
        assert {flag for name, flag in window.items() if name.startswith("flag_")} == {None}
    record = without.read("processed_clip_chunks/a.mp4_0.json")
    assert record["caption_quality_stats"]["caption_quality_flags_evaluated_count"] == 0


def test_a_dataset_for_cosmos_predict_has_the_captioned_windows(
    raw: Path, server: CaptionServer, tmp_path: Path
) -> None:
    run = Curated.below(tmp_path, raw)
    server.misbehave = lambda number: "500" if number == 0 else None
    options = (*CUT, *CAPTIONS, "--openai_caption_retries", "0")
    assert run.curate(*options) == 0
    folder = run.out / "cosmos_predict2_video2world_dataset"
    assert not folder.exists()
    asked = len(server.requests)
    assert run.curate(*options, *PREDICT) == 0, "turned on later, it needs the clips alone"
    assert len(server.requests) == asked == NUM_WINDOWS
    check_dataset(run, folder)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.*")}
    assert run.curate(*options, *PREDICT) == 0
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.*")} == before
    once = Curated.below(tmp_path / "once", raw)
    server.misbehave = lambda _: None
    assert once.curate(*CUT, *CAPTIONS, *PREDICT) == 0
    assert check_dataset(once, once.out / folder.name) == NUM_WINDOWS
    assert once.curate(*CUT, *CAPTIONS, *PREDICT, "--overwrite") == 0
    assert check_dataset(once, once.out / folder.name) == NUM_WINDOWS


def test_windows_of_the_dataset_that_are_gone_are_found_and_made_again(
    raw: Path, server: CaptionServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Curated.below(tmp_path, raw)
    options = (*CUT, *CAPTIONS, *PREDICT)
    assert run.curate(*options) == 0
    verify = ["verify", str(run.out)]
    assert main(verify) == 0
    folder = run.out / "cosmos_predict2_video2world_dataset"
    gone = [min((folder / "videos").iterdir()), max((folder / "metas").iterdir())]
    for path in gone:
        path.unlink()
    stray = folder / "metas" / "00000000-0000-5000-8000-000000000000_0_31.txt"
    stray.write_text("nobody's")
    capsys.readouterr()
    assert main(verify) == 1
    told = capsys.readouterr().out
    assert all(str(path) in told for path in (*gone, stray))
    assert main([*verify, "--repair"]) == 1
    asked = len(server.requests)
    assert run.curate(*options) == 0
    assert check_dataset(run, folder) == NUM_WINDOWS
    assert len(server.requests) == asked
    assert main(verify) == 0


def check_dataset(run: Curated, folder: Path) -> int:
    """Check each window's video and text, and that there are no others; return their number."""
    expected = set()
    for clip_id, meta in run.metas().items():
        assert "predict_dataset" in meta["stages"]
        for window in meta["windows"]:
            if window["caption_status"] != "success":
                continue
            name = f"{clip_id}_{window['start_frame']}_{window['end_frame']}"
            expected.add(name)
            text = (folder / "metas" / f"{name}.txt").read_text()
            video = folder / "videos" / f"{name}.mp4"
            assert text == window["openai_caption"] == f"seen {frames_digest(video)}"
            with av.open(str(video)) as container:
                num_frames = sum(1 for _ in container.decode(video=0))
            assert num_frames == window["end_frame"] - window["start_frame"] + 1
    assert {path.stem for path in (folder / "videos").iterdir()} == expected
    assert {path.stem for path in (folder / "metas").iterdir()} == expected
    return len(expected)


def test_prompts_that_are_ready_to_use(raw: Path, server: CaptionServer, tmp_path: Path) -> None:
    run = Curated.below(tmp_path, raw)
    assert run.curate(*CUT, *CAPTIONS, "--captioning_prompt_file", "traffic") == 0
    assert all(prompt.startswith("You describe traffic") for prompt in prompts(server))
    # A file of the user's is read as it is.
    own = tmp_path / "traffic"
    own.write_text("Mine: {width}")
    server.requests.clear()
    other = Curated.below(tmp_path / "own", raw)
    assert other.curate(*CUT, *CAPTIONS, "--captioning_prompt_file", str(own)) == 0
    assert set(prompts(server)) == {"Mine: 64"}
    # The text counts, not the name: another text under the same name is another output.
    own.write_text("Mine: {height}")
    assert other.curate(*CUT, *CAPTIONS, "--captioning_prompt_file", str(own)) == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--captioning_prompt_file", "trafic"], "ready to use: camera, clean, driving, first-"),
        (["--captioning_stage2_prompt_text", "{this}"], "stage2_prompt_text: {this} is no place"),
        (["--enhance_captions_prompt_text", "{this}"], "{this} is no placeholder; there are {cap"),
        (["--enhance_captions_prompt_text", " "], "enhance_captions_prompt_text: the prompt is em"),
        (
            ["--qwen_stage2_caption"],
            "no meaning with captioning_algorithm=openai; use captioning_s",
        ),
        (["--captioning_json_schema", "/nowhere.json"], "/nowhere.json: cannot be read"),
        (["--captioning_json_schema", "SCHEMA"], "is no JSON Schema: $.type"),
        (
            [*ENHANCE, "--enhance_captions_openai_model", "x"],
            "name one with --enhance_captions_ope",
        ),
        (["--enhance_captions", "--qwen_lm_use_fp8_weights"], "fp8_weights=true is not built yet"),
        ([*PREDICT, "--generate_captions", "false"], "predict2 needs captions"),
    ],
)
def test_wrong_use_is_told_before_the_start(
    raw: Path,
    server: CaptionServer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    said: str,
) -> None:
    run = Curated.below(tmp_path, raw)
    (tmp_path / "schema.json").write_text('{"type": "dog"}')
    named = [str(tmp_path / "schema.json") if one == "SCHEMA" else one for one in options]
    assert run.curate(*CUT, *CAPTIONS, *named) in (1, 2)
    assert said in capsys.readouterr().err
    assert not run.out.exists()
    assert server.requests == []
