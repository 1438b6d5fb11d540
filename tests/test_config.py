"""Configurations: upstream's files load, values are checked, messages name option and choices."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from beam_pipeline.configuration.auto_options import resolve_auto
from beam_pipeline.configuration.config import (
    PIPELINES,
    CurateConfig,
    ShardConfig,
    SplitConfig,
    flat,
    load_config,
)
from beam_pipeline.configuration.config_files import read_config_file
from beam_pipeline.configuration.options import section_options
from beam_pipeline.configuration.settled import (
    complete,
    default_dataset_path,
    ignored_warning,
    not_built,
)
from transforms.errors import UsageError

DATA = Path(__file__).with_name("data")
# Facts of upstream's argument declarations (cosmos-curate 1.4.0).
UPSTREAM: dict[str, Any] = json.loads((DATA / "upstream_options.json").read_text())
# The JSON blocks of the core curation page of NVIDIA's cookbook, in their order.
BLOCKS: list[str] = json.loads((DATA / "core_curation_blocks.json").read_text())
# Defaults that differ from upstream's on purpose (transcode: no OpenH264; splitting: shots.md).
OWN_DEFAULTS = {
    "generate_embeddings": "auto",
    "embedding_algorithm": "auto",
    "generate_captions": "auto",
    "splitting_algorithm": "hybrid",
    "transcode_encoder": "auto",
}
NO_MODEL = "weights of siglip2 and clip are not on this machine"
SPLIT_PATHS = {"input_video_path": "raw", "output_clip_path": "out"}


def split(**values: Any) -> SplitConfig:
    config = load_config("split", values, {})
    assert isinstance(config, SplitConfig)
    return config


def problem_with(pipeline: str = "split", **values: Any) -> str:
    with pytest.raises(UsageError) as raised:
        load_config(pipeline, values, {})
    return str(raised.value)


@pytest.mark.parametrize("block", [0, 2, 3])
def test_documents_load(block: int, tmp_path: Path) -> None:
    path = tmp_path / "job.json"
    path.write_text(BLOCKS[block])
    file = read_config_file(path)
    values = flat(load_config(str(file.pipeline), file.values, {}))
    written = json.loads(BLOCKS[block])["args"]
    assert {name: values[name] for name in written} == written


def test_fragment_of_the_documents_is_the_value_of_one_key(tmp_path: Path) -> None:
    path = tmp_path / "job.json"
    args = "{" + BLOCKS[1].strip().removesuffix(",") + "}"
    path.write_text(json.dumps({"pipeline": "split", "args": json.loads(args)}))
    file = read_config_file(path)
    prompt = flat(load_config("split", file.values, {}))["captioning_prompt_text"]
    assert prompt.startswith("You are a video captioning specialist")
    assert '"A traffic CCTV camera"' in prompt


@pytest.mark.parametrize("pipeline", ["split", "shard"])
def test_every_default_of_upstream_loads_unchanged(pipeline: str) -> None:
    written = {name: facts["default"] for name, facts in UPSTREAM[pipeline].items()}
    values = flat(load_config(pipeline, written, {}))
    assert {name: values[name] for name in written} == written


@pytest.mark.parametrize("pipeline", ["split", "shard"])
def test_defaults_and_choices_are_upstreams(pipeline: str) -> None:
    options = PIPELINES[pipeline].options()
    defaults = flat(PIPELINES[pipeline]())
    for name, facts in UPSTREAM[pipeline].items():
        assert defaults[name] == OWN_DEFAULTS.get(name, facts["default"]), name
        assert set(facts["choices"] or []) <= set(options[name].choices), name


@pytest.mark.parametrize("pipeline", ["split", "shard"])
def test_every_spelling_of_upstream_is_known(pipeline: str) -> None:
    options = PIPELINES[pipeline].options()
    for name, facts in UPSTREAM[pipeline].items():
        for flag in facts["flags"]:
            spelled = flag.removeprefix("--").replace("-", "_").removeprefix("no_")
            assert spelled in (name, *options[name].aliases), flag


def test_an_option_is_declared_once() -> None:
    names = [
        option.name
        for field, info in CurateConfig.model_fields.items()
        for option in section_options(field, info.annotation)  # type: ignore[arg-type]
    ]
    assert sorted(names) == sorted(set(names))


def test_curate_has_the_options_of_split_and_shard() -> None:
    assert set(CurateConfig.options()) == {*SplitConfig.options(), *ShardConfig.options()}


def test_command_line_wins_over_the_file() -> None:
    config = load_config("split", {"limit": 3, "vlm-filter": "enable"}, {"qwen_filter": "disable"})
    assert (flat(config)["limit"], flat(config)["vlm_filter"]) == (3, "disable")


@pytest.mark.parametrize(
    ("name", "written", "value"),
    [
        ("splitting_algorithm", "fixed_stride", "fixed-stride"),
        ("splitting-algorithm", "fixed-stride", "fixed-stride"),
        ("motion_filter", "score_only", "score-only"),
        ("motion_filter", False, "disable"),
        ("generate_cosmos_predict_dataset", True, "predict2"),
        ("artificial_text_filter", True, "enable"),
        ("video_classifier", False, "disable"),
        ("sam3", True, True),
        ("limit", "7", 7),
        ("limit", 7.0, 7),
        ("limit", None, 0),
        ("captioning_prompt_text", None, None),
        ("captioning_prompt_text", "null", None),
        ("generate_previews", "true", True),
        ("generate_captions", "auto", "auto"),
        ("generate_captions", "false", False),
        ("motion_per_patch_min_256_threshold", "1e-6", 1e-6),
        ("fixed_stride_split_duration", 2.5, 2.5),
        ("sam3_prompts", "a car", ["a car"]),
        ("sam3_prompts", ["a car, red", "a dog"], ["a car, red", "a dog"]),
        ("stage_replay", "First,Last", ["First", "Last"]),
        ("video_classifier_allow", ["film"], ["film"]),
        ("vllm_async_mm_processor_kwargs", '{"max_pixels": 100352}', {"max_pixels": 100352}),
        ("upload_cvds_parquet", True, True),
    ],
)
def test_values_and_spellings(name: str, written: Any, value: Any) -> None:
    config = split(**{name: written})
    renamed = {"sam3": "enable_sam3", "upload_cvds_parquet": "upload_cds_parquet"}
    assert flat(config)[renamed.get(name, name).replace("-", "_")] == value


@pytest.mark.parametrize(
    ("name", "written", "message"),
    [
        ("limit", -1, "limit must be a whole number, at least 0 (videos); got -1"),
        ("limit", True, "limit must be a whole number, at least 0 (videos); got true"),
        ("limit", 2.5, "limit must be a whole number, at least 0 (videos); got 2.5"),
        ("aesthetic_threshold", "nan", 'aesthetic_threshold must be a number or null; got "nan"'),
        ("motion_filter", "on", "motion_filter must be one of disable, enable, score-only"),
        ("generate_captions", "maybe", "generate_captions must be true or false or auto"),
        ("captioning_prompt_text", 5, "captioning_prompt_text must be text or null; got 5"),
        ("sam3_prompts", [1], "sam3_prompts must be a list of texts or null; got [1]"),
        ("generate_previews", [], "generate_previews must be true or false; got []"),
    ],
)
def test_bad_values_are_named_with_what_is_allowed(name: str, written: Any, message: str) -> None:
    assert problem_with(**{name: written}).startswith(message)


def test_unknown_option_names_the_nearest() -> None:
    assert "did you mean captioning_algorithm?" in problem_with(caption_algorithm="qwen")
    assert "did you mean direct_running_mode?" in problem_with(direct_running_mod="in_memory")


def test_all_problems_are_said_at_once() -> None:
    lines = problem_with(limit=-1, treshold=3, motion_filter="on").splitlines()
    assert len(lines) == 3


def test_option_of_another_pipeline_says_of_which() -> None:
    assert problem_with(max_tars_per_part=3) == (
        "max_tars_per_part: is an option of shard and curate, not of split"
    )
    assert problem_with("shard", motion_filter="enable") == (
        "motion_filter: is an option of split and curate, not of shard"
    )


def test_option_of_beam_in_a_file_says_where_it_goes() -> None:
    assert problem_with(runner="FlinkRunner") == (
        "runner: is an option of Beam; give it on the command line as --runner"
    )


def test_unknown_pipeline() -> None:
    with pytest.raises(UsageError, match="there are split, shard, curate"):
        load_config("spilt", {}, {})


def test_exclusive_options() -> None:
    assert "exclude each other" in problem_with(
        transcode_crf=20, transcode_use_input_video_bit_rate=True
    )
    assert problem_with(qwen_filter="enable", vlm_filter="enable") == (
        "qwen_filter and vlm_filter are the same option; keep one"
    )
    events = {"enable_event_captioning": True, "event_caption_prompt": "a"}
    with pytest.raises(UsageError, match="needs enable_sam3=true"):
        complete(split(**SPLIT_PATHS, **events))
    both = {**events, "enable_sam3": True, "event_caption_prompt_file": "b.txt"}
    with pytest.raises(UsageError, match="exclude each other"):
        complete(split(**SPLIT_PATHS, **both))


def test_secrets_are_never_shown() -> None:
    url = "https://bucket/in.zip?X-Amz-Signature=abc"
    config = split(input_presigned_s3_url=url, output_presigned_multipart={"uploadId": "secret1"})
    shown = json.dumps(flat(config)) + repr(config) + "".join(not_built(config))
    assert "abc" not in shown
    assert "secret1" not in shown
    assert "secret1" not in problem_with(output_presigned_multipart=["secret1"])


def test_auto_is_stored_with_its_reason() -> None:
    settled, resolved, lines = resolve_auto(split(generate_captions=False))
    assert settled.embedding.generate_embeddings is False
    assert resolved == {
        "generate_embeddings": {
            "requested": "auto",
            "resolved": False,
            "why": NO_MODEL,
        }
    }
    assert lines == [
        f"generate_embeddings: auto is off here ({NO_MODEL})",
    ]
    assert resolve_auto(split(splitting_algorithm="fixed_stride"))[2] == [
        f"generate_embeddings: auto is off here ({NO_MODEL})",
        "generate_captions: auto is off here (weights of qwen are not on this machine)",
    ]


@pytest.mark.parametrize(
    "values",
    [
        {"aesthetic_threshold": 3.5},
        {"artificial_text_filter": "enable"},
        {"vlm_filter": "score-only"},
        {"video_classifier": "enable"},
        {"super_resolution": True},
        {"enable_sam3": True},
        {"stage_save": "ClipWriterStage"},
        {"profile_cpu": True},
        {"multi_cam": True},
        {"upload_clips": False},
        {"upload_clip_info_in_lance": True},
        {"qwen_lm_use_fp8_weights": True, "enhance_captions": True},
    ],
)
def test_each_stage_that_is_not_built_says_so(values: dict[str, Any]) -> None:
    (problem,) = not_built(split(**values))
    assert next(iter(values)) in problem
    assert "not built" in problem


def test_options_below_a_stage_that_is_off_are_ignored() -> None:
    config = split(sam3_prompts=["a car"], aesthetic_reduction="mean", sr_seed=1, qwen_batch_size=2)
    assert not_built(config) == []
    assert ignored_warning(config) is None


def test_ignored_options_make_one_warning_that_names_the_given_ones() -> None:
    warning = ignored_warning(split(transcode_ffmpeg_batch_size=16, execution_mode="BATCH"))
    assert warning is not None
    lines = warning.splitlines()
    assert len(lines) == 3
    assert lines[1].startswith("  transcode_ffmpeg_batch_size: instead, clip_re_chunk_size")
    assert lines[2].startswith("  execution_mode: instead, --runner")


def test_needed_paths() -> None:
    with pytest.raises(UsageError, match="split needs input_video_path and output_clip_path"):
        complete(split())
    with pytest.raises(UsageError, match="shard needs output_dataset_path"):
        complete(load_config("shard", {"input_clip_path": "out"}, {}))


@pytest.mark.parametrize(
    ("output", "dataset"),
    [
        ("/data/out", "/data/webdataset"),
        ("s3://b/set/processed_data/v0", "s3://b/set/webdataset"),
        ("s3://b/set/processed_data/v12/", "s3://b/set/webdataset"),
        ("/data/version1", "/data/webdataset"),
        ("/v0", "/webdataset"),
        ("s3://b/v0", "s3://b/webdataset"),
        ("gs://b/out", "gs://b/webdataset"),
    ],
)
def test_default_place_of_the_data_set(output: str, dataset: str) -> None:
    assert default_dataset_path(output) == dataset


def test_a_whole_bucket_has_no_place_beside_it() -> None:
    with pytest.raises(UsageError, match="whole bucket"):
        default_dataset_path("s3://b/")


def test_curate_shards_what_it_splits() -> None:
    values = flat(complete(load_config("curate", {**SPLIT_PATHS, "output_clip_path": "/o"}, {})))
    assert (values["input_clip_path"], values["output_dataset_path"]) == ("/o", "/webdataset")
    with pytest.raises(UsageError, match="leave input_clip_path out"):
        complete(load_config("curate", {**SPLIT_PATHS, "input_clip_path": "/other"}, {}))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", '{"limit": 1,\n "limit_clips" 2}', "a.json, line 2, column 16: is not JSON"),
        ("a.yaml", "limit: 1\nlimit_clips: [2", "a.yaml, line 2"),
        ("a.yaml", "limit: 1\nlimit: 2\n", "a.yaml, line 2, column 1: is not YAML: the key"),
        ("a.json", '{"limit": 1, "limit": 2}', "has the key 'limit' twice"),
        ("a.json", "", "is empty"),
        ("a.yaml", "# nothing\n", "is empty"),
        ("a.json", "3", "needs a mapping of option names to values, got int"),
        ("a.json", "[1]", "needs a mapping of option names to values, got list"),
        ("a.json", '{"args": [1]}', "args must be a mapping, got list"),
        ("a.json", '{"args": {}, "limit": 1}', "has args and beside it limit"),
        ("a.json", '{"pipeline": 3}', "pipeline must be the name of a pipeline, got 3"),
        ("a.json", "\udcff", "cannot be read"),
    ],
)
def test_bad_files(name: str, text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UsageError) as raised:
        read_config_file(path)
    assert message in str(raised.value)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such configuration file"):
        read_config_file(tmp_path / "none.json")
    with pytest.raises(UsageError, match="cannot be read"):
        read_config_file(tmp_path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", '{"pipeline": "split", "args": {"limit": 2, "verbose": true}}'),
        ("a.json", '{"pipeline": "split", "limit": 2, "verbose": true}'),
        ("a.yaml", "pipeline: split\nargs:\n  limit: 2\n  verbose: yes\n"),
        ("a.yml", "pipeline: split\nlimit: 2\nverbose: true\n"),
    ],
)
def test_nested_and_flat_files_mean_the_same(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    file = read_config_file(tmp_path / name)
    assert (file.pipeline, file.values) == ("split", {"limit": 2, "verbose": True})
