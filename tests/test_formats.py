"""The files of a real run against the schemas in ``docs/formats``, and the schemas themselves."""

from __future__ import annotations

import copy
import json
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from caption_server import KEY, caption_server
from jsonschema import Draft202012Validator
from make_video import VideoSpec, make_video
from run_command import Curated
from same_bytes import (
    EXEMPT_FAILURE_FIELDS,
    EXEMPT_PATTERNS,
    EXEMPT_SUMMARY_FIELDS,
)

import transforms
from beam_pipeline.cli import main
from beam_pipeline.docs.formats import FORMATS, format_files
from transforms.clips.wave_file import write_wave
from transforms.formats.catalogue import FILE_KINDS, documents, kinds_of
from transforms.formats.document import SchemaVersion, json_schema
from transforms.ingest.list_videos import VideoInput
from transforms.ingest.select_videos import begin_selection
from transforms.layout import current_run_uri, lease_uri
from transforms.lease import hold_lease
from transforms.run_context import SCHEMA_VERSION, RunContext
from transforms.storage.local import TEMPORARY_PREFIX

TINY = VideoSpec(seconds=2.0, keyframe_every=0)
"""One clip that is passed through; its windows have no keyframes, so they are encoded anew."""

OPTIONS = (
    *(
        "--splitting_algorithm",
        "fixed-stride",
        "--fixed_stride_split_duration",
        "2",
        "--fixed_stride_min_clip_length_s",
        "1",
    ),
    *("--captioning_window_size", "16", "--captioning_remainder_threshold", "8"),
    *("--motion_filter", "enable", "--motion_global_mean_threshold", "1"),
    *("--letterbox_filter", "enable", "--picture_share_threshold", "0.1"),
    *("--generate_previews", "--max_failed_share", "1"),
)


@dataclass(frozen=True)
class Found:
    """A JSON file, or a JSON member of a tar, of the run."""

    kind: str
    path: str
    data: bytes

    @property
    def content(self) -> Any:
        return json.loads(self.data)


def _make_inputs(raw: Path) -> None:
    (raw / "sub").mkdir(parents=True)
    make_video(raw / "rejected.mp4", VideoSpec(size=(256, 256), keyframe_every=0))
    make_video(raw / "sub" / "tail.mp4", VideoSpec(seconds=4.4, audio="aac"))
    make_video(raw / "too wide.mp4", VideoSpec(size=(352, 32)))
    make_video(raw / "too short.mp4", VideoSpec(seconds=0.4))
    # A name that collides with a counter of the summary.
    make_video(raw / "a.mp4", TINY).rename(raw / "num_input_videos")
    faststart = (("movflags", "faststart"),)
    cut_off = make_video(raw / "cut off.mp4", VideoSpec(noise=True, container_options=faststart))
    cut_off.write_bytes(cut_off.read_bytes()[: cut_off.stat().st_size // 2])
    (raw / "text.mp4").write_text("no video")
    (raw / "sidecar.json").write_text("{}")


def _begin_unfinished(raw: Path, out: Path) -> None:
    """Leave an output as a run leaves it that is killed at its start."""
    context = RunContext(
        root=str(out), run_id="killed", scratch="", progress_folder=str(out.parent), stages=(),
        spans_fingerprint="",
    )  # fmt: skip
    videos = list(begin_selection(VideoInput(input_video_path=str(raw)), context))
    assert videos
    write_wave(str(out), videos)


@pytest.fixture(scope="module")
def curated(tmp_path_factory) -> Curated:
    """A run over good and bad videos, and a second one that tried the failed ones again."""
    folder = tmp_path_factory.mktemp("formats")
    run = Curated.below(folder, folder / "raw")
    _make_inputs(run.raw)
    assert run.curate(*OPTIONS) == 3
    assert run.curate(*OPTIONS, "--retry_failed") == 3
    return run


@pytest.fixture(scope="module")
def found(curated: Curated, tmp_path_factory) -> list[Found]:
    """Every JSON file and member; fails for a file that is of no kind or of several."""
    unfinished = tmp_path_factory.mktemp("unfinished") / "out"
    _begin_unfinished(curated.raw, unfinished)
    captioned = _captioned(tmp_path_factory.mktemp("captioned"))
    # A lease is there only while a run works, or when it was killed.
    with hold_lease(lease_uri(str(unfinished)), "run"):
        return [
            *_files(curated.out, "output"),
            *_files(curated.dataset, "dataset"),
            *_files(unfinished, "output"),
            # Clips with captions are looked at in test_captions.
            *(
                one
                for one in _files(captioned, "output")
                if "caption" in one.kind or one.path.startswith("annotations/")
            ),
            *_members(curated.dataset),
        ]


def _captioned(folder: Path) -> Path:
    """Return an output with captions, and others that were made anew of one clip of two."""
    (folder / "raw").mkdir()
    for name in ("a.mp4", "b.mp4"):
        make_video(folder / "raw" / name, TINY)
    run = Curated.below(folder, folder / "raw")
    captions = ("--generate_captions", "true", "--captioning_algorithm", "openai")
    with caption_server() as server, pytest.MonkeyPatch.context() as patched:
        patched.setenv("OPENAI_BASE_URL", server.url)
        patched.setenv("OPENAI_API_KEY", KEY)
        assert run.curate(*OPTIONS, *captions) == 0
        min((run.out / "clips").iterdir()).unlink()
        anew = ("recaption", "--input_clip_path", str(run.out), "--max_failed_share", "0.5")
        assert main([*anew, *captions]) == 3
    return run.out


def _files(root: Path, place: str) -> Iterator[Found]:
    for path in sorted(root.rglob("*")):
        # The heartbeat of the lease above may be writing just now.
        if path.is_file() and not path.name.startswith(TEMPORARY_PREFIX):
            yield from _found(place, path.relative_to(root).as_posix(), path.read_bytes())


def _members(dataset: Path) -> Iterator[Found]:
    for path in sorted(dataset.rglob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                file = tar.extractfile(member)
                assert file is not None
                yield from _found("tar", member.name, file.read())


def _found(place: str, path: str, data: bytes) -> Iterator[Found]:
    kinds = kinds_of(place, path)  # type: ignore[arg-type]
    assert len(kinds) == 1, f"{place}: {path} is of {[kind.name for kind in kinds]}"
    if kinds[0].document is not None:
        yield Found(kinds[0].name, path, data)
    else:
        assert ".json" not in path


def validator(name: str) -> Draft202012Validator:
    """Return what checks a document by the schema as it lies in ``docs/formats``."""
    schema = json.loads((FORMATS / f"{name}.schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def test_generated_files_are_up_to_date() -> None:
    stored = {path.name: path.read_text(encoding="utf-8") for path in FORMATS.iterdir()}
    assert stored == format_files(), "run python -m beam_pipeline.docs.formats"


def test_every_kind_of_document_was_written(found: list[Found]) -> None:
    assert {one.kind for one in found} == set(documents())
    written = {one.path for one in found}
    assert {"summary.json", "summary.json.bak1", "runs/0001.json", "runs/0002.json"} <= written


def test_every_document_matches_its_schema(found: list[Found]) -> None:
    validators = {name: validator(name) for name in documents()}
    problems = [
        f"{one.path} {error.json_path}: {error.message}"
        for one in found
        for error in validators[one.kind].iter_errors(one.content)
    ]
    assert problems == []


def test_files_are_indented_by_4_and_members_of_tars_are_compact(found: list[Found]) -> None:
    for one in found:
        if one.kind == "shard_sample":
            expected = json.dumps(one.content, sort_keys=True, separators=(",", ":"))
        else:
            expected = json.dumps(one.content, sort_keys=True, indent=4) + "\n"
        assert one.data == expected.encode(), one.path


def test_a_strange_file_is_of_no_kind() -> None:
    for path in ("clips/a.mp4", "metas/v0/x/y.json", "runs/old.json", "notes.txt", "summary.bak"):
        assert kinds_of("output", path) == []
    assert kinds_of("dataset", "v0/resolution_720/wdinfo.json") == []


def test_the_version_in_the_schemas_is_the_one_that_is_written() -> None:
    assert SchemaVersion.__args__ == (SCHEMA_VERSION,)


# Mutations -----------------------------------------------------------------------------------

SOMETIMES = {
    *("motion_score", "motion_missing", "rejection", "previews", "reencoded_because", "caption"),
    *("scores", "score_counts"),
}
MAPS = {
    *("resolved", "fingerprints", "stages", "all_windows", "all_windows_enhanced_caption"),
    *("videos", "counters", "rejected", "failed_videos", "dropped", "reencoded", "failed"),
    *("scores", "score_counts", "kept_by_threshold"),
}
"""Objects whose keys are data."""
ALL_MAPS = {"all_window_captions"}
"""Documents whose keys are data at every level."""
SPARSE = {"stage_seconds", "seconds_to_first"}
"""Objects that have only the fields of what was done."""
MAY_BE = {"audio_format": str, "end": str, "building": int}
"""Fields that are null or of this type."""
VALUES = (None, True, "?", 0.5, [], {})


@pytest.mark.parametrize("name", documents())
def test_schema_rejects_what_is_not_written(name: str, found: list[Found]) -> None:
    document = max((one for one in found if one.kind == name), key=lambda one: len(one.data))
    schema, content = validator(name), document.content
    assert schema.is_valid(content)
    mutants = list(_mutants(content))
    assert len(mutants) > 5 * len(content)
    accepted = [what for what, mutant in mutants if schema.is_valid(mutant)]
    if name in ALL_MAPS:
        # Other names are other videos; their captions may be missing.
        accepted = [what for what in accepted if what != ": unknown field"]
        accepted = [what for what in accepted if not what.endswith(": missing")]
    assert accepted == []


def _mutants(content: Any) -> Iterator[tuple[str, Any]]:
    """Yield (what was done, changed copy) for each object, field and element of a document."""
    rels = set(content["videos"]) if isinstance(content.get("videos"), dict) else set()
    for path in _containers(content):
        node, where = _at(content, path), "/".join(map(str, path))
        if isinstance(node, dict):
            yield f"{where}: unknown field", _changed(content, path, lambda it: it | {"?": {}})
        is_map = path and path[-1] in MAPS | SPARSE
        for key in node if isinstance(node, dict) else range(len(node)):
            if isinstance(node, dict) and not (is_map or key in SOMETIMES | rels):
                yield f"{where}/{key}: missing", _changed(content, path, _without(key))
            for value in VALUES:
                if type(value) not in _types(path, key, node[key]):
                    yield f"{where}/{key} = {value}", _changed(content, path, _with(key, value))


def _containers(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        # What an option's value may be is a matter of the options.
        if isinstance(value, dict | list) and key != "options":
            yield from _containers(value, (*path, key))


def _at(node: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        node = node[key]
    return node


def _changed(content: Any, path: tuple[Any, ...], change: Any) -> Any:
    changed = copy.deepcopy(content)
    if not path:
        return change(changed)
    parent = _at(changed, path[:-1])
    parent[path[-1]] = change(parent[path[-1]])
    return changed


def _without(key: Any) -> Any:
    return lambda node: {name: value for name, value in node.items() if name != key}


def _with(key: Any, value: Any) -> Any:
    def change(node: Any) -> Any:
        node[key] = value
        return node

    return change


def _types(path: tuple[Any, ...], key: Any, value: Any) -> set[type]:
    """Return the types that the field may have, of which ``value`` has one."""
    if path[-1:] == ("counters",):
        return {int, float}
    return {type(value)} | ({type(None), MAY_BE[key]} if key in MAY_BE else set())


# Upstream's fields, written down from the contract, §1.16 and §2.7 ---------------------------

COUNTERS = {
    *("num_clips_filtered_by_motion", "num_clips_filtered_by_aesthetic"),
    *("num_clips_filtered_by_qwen_classifier", "num_clips_filtered_by_qwen_semantic"),
    *("num_clips_filtered_by_artificial_text", "num_clips_passed", "num_clips_transcoded"),
    *("num_clips_with_embeddings", "num_clips_with_caption", "num_clips_with_webp"),
}
CONTRACT = {
    "clip_meta": {
        *("span_uuid", "source_video", "duration_span", "width_source", "height_source"),
        *("framerate_source", "clip_location", "width", "height", "framerate", "num_frames"),
        *("video_codec", "num_bytes", "motion_score", "errors", "windows", "filtered_windows"),
        *("valid", "has_caption", "total_prompt_tokens", "total_output_tokens"),
        # Since version 2 (Appendix A).
        *("num_caption_windows", "caption_quality_flags_enabled"),
    },
    "video_record": {
        *("video", "height", "width", "framerate", "num_frames", "duration", "video_codec"),
        *("pixel_format", "audio_format", "num_total_clips", "num_clip_chunks", "video_uuid"),
    },
    "chunk_record": {
        *("video", "clip_chunk_index", "total_clip_duration", "max_clip_duration"),
        *("total_prompt_tokens", "total_output_tokens", "clips", "filtered_clips"),
        *("all_windows", "all_windows_enhanced_caption"),
        *("num_caption_windows", "caption_quality_stats"),
        *COUNTERS,
    },
    "summary": {
        *("num_input_videos", "num_input_videos_selected", "num_processed_videos"),
        *("embedding_algorithm", "total_video_duration", "total_clip_duration"),
        *("max_clip_duration", "pipeline_run_time", "total_video_bytes", "num_remuxed_videos"),
        *("total_prompt_tokens", "total_output_tokens", "output_tokens_per_s"),
        *(f"total_{name}" for name in COUNTERS),
    },
    "wdinfo": {"data_keys", "chunk_size", "data_list", "root", "total_key_count"},
}
VIDEO_ENTRY = {
    *("source_video", "video_uuid", "num_clip_chunks", "num_total_clips", "clips"),
    *("filtered_clips",),
    *COUNTERS,
}


def _of_upstream(schema: dict[str, Any]) -> set[str]:
    fields = schema["properties"].items()
    return {name for name, field in fields if field["x-origin"] == "upstream"}


@pytest.mark.parametrize("name", CONTRACT)
def test_upstreams_fields_are_those_of_the_contract(name: str) -> None:
    assert _of_upstream(json_schema(documents()[name])) == CONTRACT[name]


def test_upstreams_fields_of_a_video_in_the_summary() -> None:
    entries = json_schema(documents()["summary"])["$defs"]
    assert _of_upstream(entries["VideoSummary"]) == VIDEO_ENTRY
    assert _of_upstream(entries["UnprocessedVideo"]) == {"source_video", "processed"}


def test_every_field_has_a_meaning_and_an_origin() -> None:
    for document in documents().values():
        schema = json_schema(document)
        for entry in (schema, *schema.get("$defs", {}).values()):
            for field in entry.get("properties", {}).values():
                assert field["description"].endswith(".")
                assert field["x-origin"] in ("upstream", "ours")


# Values of the summary -----------------------------------------------------------------------


def test_summary_counts_all_runs(curated: Curated) -> None:
    summary = curated.read("summary.json")
    listed = {"cut off.mp4", "num_input_videos", "rejected.mp4", "sub/tail.mp4", "text.mp4"}
    listed |= {"too short.mp4", "too wide.mp4"}
    with_record = listed - {"text.mp4"}
    assert set(summary["videos"]) == listed
    assert summary["num_input_videos"] == 7
    assert summary["num_input_videos_selected"] == 2  # by the second run: what had failed
    assert summary["num_processed_videos"] == 6
    sizes = sum((curated.raw / rel).stat().st_size for rel in with_record)
    assert summary["total_video_bytes"] == sizes  # upstream: of the last run only (App. B 16)
    assert summary["total_num_clips_passed"] == 4
    assert summary["total_num_clips_filtered_by_motion"] == 1
    assert summary["total_num_clips_transcoded"] == 5
    assert summary["total_num_clips_with_webp"] == 4
    assert summary["total_num_clips_failed"] == 1
    # sub/tail.mp4: its last 0.4 s are in no clip.
    assert summary["total_clip_duration"] == pytest.approx(4 * 2.0 + 2.0)
    for total in ("total_num_clips_with_caption", "total_num_clips_with_embeddings"):
        assert summary[total] == 0


def test_summary_has_every_video_at_the_top_but_the_one_that_collides(curated: Curated) -> None:
    summary = curated.read("summary.json")
    for rel, video in summary["videos"].items():
        assert summary[rel] == (7 if rel == "num_input_videos" else video)
    assert summary["videos"]["num_input_videos"]["num_clips_passed"] == 1
    assert summary["text.mp4"] == {
        "source_video": str(curated.raw / "text.mp4"),
        "processed": False,
    }


def test_a_clip_without_vectors_has_no_score_and_one_without_captions_is_valid(
    curated: Curated,
) -> None:
    metas = curated.metas().values()
    assert all(meta["valid"] and not meta["has_caption"] for meta in metas)
    by_source = {Path(meta["source_video"]).name: meta for meta in metas}
    assert by_source["rejected.mp4"]["motion_score"]["global_mean"] > 0
    assert by_source["rejected.mp4"]["rejection"]["threshold"] == 1
    assert "motion_score" not in by_source["tail.mp4"]
    assert by_source["tail.mp4"]["motion_missing"] == "resolution_too_small"


# The documents in words ----------------------------------------------------------------------


def test_formats_page_names_every_kind_of_file() -> None:
    page = (FORMATS.parent / "formats.md").read_text(encoding="utf-8")
    missing = [kind.path for kind in FILE_KINDS if f"`{kind.path}`" not in page]
    assert missing == []


REASONS = re.compile(r'(?:MediaError\(|Dropped\(clip_id,|_error\(|Failure\("cut",)\s*"(\w+)"')


def test_pages_name_every_reason_of_a_failure_and_of_a_dropped_clip() -> None:
    pages = [FORMATS.parent / name for name in ("formats.md", "resume-and-failures.md")]
    text = "".join(page.read_text(encoding="utf-8") for page in pages)
    sources = sorted(Path(transforms.__path__[0]).rglob("*.py"))
    reasons = {reason for path in sources for reason in REASONS.findall(path.read_text())}
    assert {"truncated", "crash", "source_changed", "not_valid"} <= reasons
    assert sorted(reason for reason in reasons if f"`{reason}`" not in text) == []


def test_resume_page_names_what_may_differ_between_runs() -> None:
    page = (FORMATS.parent / "resume-and-failures.md").read_text(encoding="utf-8")
    exempt = (*EXEMPT_PATTERNS, *EXEMPT_SUMMARY_FIELDS, *EXEMPT_FAILURE_FIELDS)
    assert [name for name in exempt if f"`{name}`" not in page] == []


def test_a_run_that_was_killed_at_its_start_leaves_its_selection(
    curated: Curated, tmp_path
) -> None:
    _begin_unfinished(curated.raw, tmp_path / "out")
    content = json.loads(Path(current_run_uri(str(tmp_path / "out"))).read_text())
    assert content["num_sidecars"] == 1
    assert [video[0] for video in content["videos"]][:2] == ["cut off.mp4", "num_input_videos"]
