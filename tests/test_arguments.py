"""Command lines: forms, spellings, Beam's options, and what wrong use says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from beam_pipeline.cli import main
from beam_pipeline.commands.sample import sample_options
from beam_pipeline.configuration.arguments import Arguments, parse_arguments
from transforms.errors import UsageError


def parsed(line: str) -> Arguments:
    return parse_arguments(line.split(), sample_options())


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", Arguments("quickstart")),
        ("--runner=DirectRunner", Arguments("quickstart", beam_flags=["--runner=DirectRunner"])),
        ("split --limit 3", Arguments("run", "split", None, {"limit": "3"})),
        ("shard --config a.json", Arguments("run", "shard", "a.json")),
        ("--config a.json", Arguments("run", None, "a.json")),
        ("a.json --limit=3", Arguments("run", None, "a.json", {"limit": "3"})),
        ("plan curate", Arguments("plan", "curate")),
        ("plan a.YAML", Arguments("plan", None, "a.YAML")),
        ("sample --output x", Arguments("sample", overrides={"output": "x"})),
        ("--help", Arguments("help")),
        ("split -h", Arguments("help", "split")),
        ("--version", Arguments("version")),
    ],
)
def test_forms(line: str, expected: Arguments) -> None:
    assert parsed(line) == expected


@pytest.mark.parametrize(
    ("line", "overrides"),
    [
        ("--generate_previews", {"generate_previews": True}),
        ("--generate-previews --limit 3", {"generate_previews": True, "limit": "3"}),
        ("--no-generate_previews", {"generate_previews": False}),
        ("--no_generate_previews", {"generate_previews": False}),
        ("--generate_previews=true", {"generate_previews": "true"}),
        ("--generate_previews false", {"generate_previews": "false"}),
        ("--generate-captions auto", {"generate_captions": "auto"}),
        ("--no-artificial-text-corner-detection", {"artificial_text_use_corner_detection": False}),
        ("--sr-no-blend-overlap", {"sr_no_blend_overlap": True}),
        ("--aesthetic_threshold -1", {"aesthetic_threshold": "-1"}),
        ("--qwen-filter enable", {"vlm_filter": "enable"}),
        ("--motion_filter --limit 3", {"motion_filter": True, "limit": "3"}),
        ("--limit 3 --limit 4", {"limit": "4"}),
        ("--generate_previews --no-generate-previews", {"generate_previews": False}),
        ("--sam3-prompts car dog --limit 1", {"sam3_prompts": ["car", "dog"], "limit": "1"}),
        ("--sam3_prompts=car --sam3-prompts=dog", {"sam3_prompts": ["car", "dog"]}),
        ("--captioning_prompt_text=--x=y", {"captioning_prompt_text": "--x=y"}),
    ],
)
def test_spellings(line: str, overrides: dict[str, Any]) -> None:
    assert parsed(f"split {line}").overrides == overrides


@pytest.mark.parametrize(
    ("line", "flags"),
    [
        ("--direct_num_workers 2", ["--direct_num_workers=2"]),
        ("--direct-num-workers=2", ["--direct_num_workers=2"]),
        ("--experiments=a --experiments b", ["--experiments=a", "--experiments=b"]),
        ("--streaming", ["--streaming"]),
        ("--beam.dry_run=true", ["--dry_run=true"]),
        ("--beam.profile_cpu", ["--profile_cpu"]),
        ("--beam.runner FlinkRunner", ["--runner=FlinkRunner"]),
    ],
)
def test_options_of_beam(line: str, flags: list[str]) -> None:
    arguments = parsed(f"split {line}")
    assert (arguments.beam_flags, arguments.overrides) == (flags, {})


def test_names_that_beam_has_too_are_ours() -> None:
    arguments = parsed("split --dry_run --profile_cpu")
    assert arguments.overrides == {"dry_run": True, "profile_cpu": True}
    assert arguments.beam_flags == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("spilt", "spilt: there is no such command here; did you mean split?"),
        ("split extra", "extra: there is no such command here"),
        ("split job.json", "give a configuration file as --config FILE"),
        ("a.json --config b.json", "give one configuration file"),
        ("split --limit", "--limit: needs a whole number, at least 0 (videos)"),
        ("split --limit 3 4", "4: expected an option such as --limit 10 here"),
        ("split --limt 3", "did you mean limit?"),
        ("split --direct_running_mod=in_memory", "did you mean direct_running_mode?"),
        ("split --beam.runer x", "there is no such option of Beam; did you mean runner?"),
        ("split --direct_running_mode=fast", "must be one of in_memory, multi_threading"),
        ("split --direct_num_workers x", "Beam cannot use the value 'x'"),
        ("split --direct_num_workers", "this option of Beam needs a value"),
        ("split --streaming=3", "this option of Beam takes no value"),
        ("split --no-limit", "there is no such option"),
        ("split --no-generate_previews=true", "takes no value"),
        ("sample --outptu x", "did you mean output?"),
        ("--limit 3", "say which pipeline to run with --limit"),
        ("plan", "say which pipeline to plan"),
    ],
)
def test_wrong_use(line: str, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        parsed(line)
    assert message in str(raised.value)


def test_wrong_use_is_exit_status_2_with_the_message(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["split", "--motion_filter", "on"]) == 2
    assert "motion_filter must be one of disable, enable" in capsys.readouterr().err
    assert main(["split"]) == 2
    assert "split needs input_video_path and output_clip_path" in capsys.readouterr().err


def test_what_is_not_built_is_refused_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    paths = ["--input_video_path", str(tmp_path), "--output_clip_path", str(out)]
    assert main(["split", *paths, "--enable_sam3", "--super_resolution"]) == 2
    said = capsys.readouterr().err
    assert "enable_sam3=true: object tracking is not built" in said
    assert "super_resolution=true: super-resolution is not built" in said
    assert not out.exists()


def test_pipeline_of_file_and_command_line_must_agree(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "job.json"
    file.write_text(json.dumps({"pipeline": "split", "args": {}}))
    assert main(["shard", "--config", str(file)]) == 2
    assert "is for pipeline split, the command line says shard" in capsys.readouterr().err
    file.write_text("{}")
    assert main([str(file)]) == 2
    assert "does not say which pipeline" in capsys.readouterr().err


def test_interruption_is_exit_status_130_and_says_how_to_go_on(tmp_path: Path) -> None:
    # SIGTERM arrives while videos are drawn; the child announces that drawing has begun.
    command = [sys.executable, "-m", "beam_pipeline", "sample", "--output", str(tmp_path / "raw")]
    root = Path(__file__).resolve().parent.parent
    with subprocess.Popen(
        [*command, "--hours", "1"], cwd=root, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stderr is not None
        assert "drawing" in child.stderr.readline()
        child.terminate()
        said = child.stderr.read()
    assert child.returncode == 130
    assert "The same command goes on from here" in said


def test_sample_prints_what_it_drew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "raw"
    line = ["sample", "--output", str(folder), "--hours", "0.0003", "--seed", "1"]
    assert main(line) == 0
    said = capsys.readouterr().out
    videos = sorted(folder.glob("*.mp4"))
    assert videos
    assert all(video.name in said for video in videos)
    assert str(folder) in said
    assert main(["sample", "--hours", "1"]) == 2
    assert main(["sample", "--output", str(folder), "--hours", "0"]) == 2
    assert "hours must be a number, more than 0" in capsys.readouterr().err
