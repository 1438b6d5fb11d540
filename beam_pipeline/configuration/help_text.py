"""Help, generated from the sections."""

from __future__ import annotations

import inspect
import json
import shutil
import textwrap
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

from beam_pipeline.commands.sample import SampleOptions
from beam_pipeline.configuration.config import PIPELINES, CurateConfig, PipelineConfig
from beam_pipeline.configuration.options import Option, section_options
from beam_pipeline.docs.markdown import table_row

_OVERVIEW = """\
beam-curate makes training sets out of raw video, on Apache Beam: clips, scores, metadata and
WebDataset shards, in the formats of NVIDIA Cosmos-Curate.

Usage
  python -m beam_pipeline [Beam options]
      The quickstart: draws a few sample videos into ./beam-curate-quickstart and curates them.
  python -m beam_pipeline split|shard|curate [--config FILE] [--option value ...] [Beam options]
      split makes clips of videos, shard makes training shards of clips, curate does both.
  python -m beam_pipeline recaption --input_clip_path OUT [--annotation_version v1] [--option ...]
      New captions for the clips of split, in a version of their metadata beside the first.
  python -m beam_pipeline FILE.json [--option value ...] [Beam options]
      The same, the pipeline's name and options in a JSON or YAML file:
      {"pipeline": "split", "args": {"input_video_path": "videos", ...}}
  python -m beam_pipeline plan split|shard|curate|recaption|FILE.json ...
      Says what a run would do, how large its output and how long it will be; writes nothing.
  python -m beam_pipeline verify OUT [--repair]
      Reads an output or a dataset whole and says what is missing or damaged.
  python -m beam_pipeline models list | pull MODEL | check split|curate|FILE.json ...
      Which models there are and which are here; gets their files; says what a run lacks.
  python -m beam_pipeline slurm submit [options] -- split|shard|curate|recaption|FILE.json ...
      Runs a pipeline on nodes of a SLURM cluster; slurm status|logs|cancel JOB look after it.
  python -m beam_pipeline sample --output DIR [--hours H] [--seed S]
      Draws sample videos with known contents.
  python -m beam_pipeline --version | --help | split|verify|models|slurm|sample --help

Examples
  python -m beam_pipeline curate --input_video_path videos --output_clip_path out/processed
  python -m beam_pipeline split --config job.json --limit 10 --runner=FlinkRunner

Options
  Written --limit 10 or --limit=10; dashes and underscores are alike. A switch is turned on by
  --generate_previews and off by --no-generate_previews. The command line wins over the file.
  Where Beam has an option of the same name, --beam.NAME reaches Beam's.

Where things go
  split writes below output_clip_path: clips/ and filtered_clips/ (mp4), metas/v0/ (one JSON per
  clip), previews/, failures/ (what failed, and why), summary.json, runs/ (options and records of
  runs). shard writes tar files below output_dataset_path/v0/. The same command again goes on
  where the last run stopped and does nothing twice.

Exit status
  0    everything finished
  1    failed
  2    wrong use: nothing was started
  3    finished, with failures in at most --max_failed_share of the videos
  130  interrupted; the same command goes on from there
"""


_VERIFY = """\
python -m beam_pipeline verify OUT [--repair]

Recomputes from files what an output of split or curate claims (OUT is its output_clip_path; the
dataset that curate made of it and the versions of its captions that recaption made are verified
too), or a dataset alone (OUT is its output_dataset_path). No record is trusted: every selected
video is planned or failed, every planned clip is committed, failed or without frames, every mp4 has
the sha256 of its metadata and lies in one folder, every record and the summary say what the
metadata says, every tar holds the planned samples byte for byte, and every kept clip is in a shard
or listed as dropped. Changes nothing without --repair.

Each finding is a line: what it is about, its id, the file, and the reason. A run that did not end
shows as incomplete; the same command goes on with it.

--repair
  Removes the commits that stand for what is damaged, then what is damaged, and what belongs to
  nothing. The same command as before then makes it again, to the same bytes; verify it once more
  after that. No run may be at work there.
--output_s3_profile_name NAME
  Credentials profile for what lies in s3://.

Exit status
  0    intact and complete (failed videos and clips with a failure file are complete)
  1    something is missing or damaged, also when --repair has taken it away
  2    wrong use: no path, or nothing there that this program wrote
"""


_MODELS = """\
python -m beam_pipeline models list [--json] [--model_weights_path PLACE]
  Lists the models that options can name: hub id, size, licence, about how much GPU memory each
  needs, and where its files are on this machine. Sizes are about right; a pull tells exact ones.

python -m beam_pipeline models pull MODEL ... [--model_weights_path PLACE] [--revision REVISION]
  Downloads the files of models of the list, or of any hub id (owner/name), by the package
  huggingface_hub (pip install 'beam-curate[models]') into its standard cache, or into PLACE: a
  folder, or one in a store (s3://, gs://). A connection that breaks is taken up again within a
  file; files that are there are not downloaded again. Without --revision it is the commit that the
  list pins, for others the newest. For gated models, accept the licence on their page and set
  HF_TOKEN.
python -m beam_pipeline models pull all-needed split|curate|FILE.json [pipeline options]
  The same for all that this command line needs and has not.

python -m beam_pipeline models check split|curate|FILE.json [pipeline options]
  Prints what a run needs of models (weights, packages, devices and their memory, endpoints) and
  all that is missing, without reading any video.

Runs never download: they look in --model_weights_path, in installed packages and in the cache.

--output_s3_profile_name NAME
  Credentials profile for a PLACE in s3://.

Exit status
  0    done; for check: nothing is missing
  1    something is missing, or the hub, the disk or the store refused
  2    wrong use
"""


def help_text(topic: str | None) -> str:
    """Return the help of a command, or the overview for None."""
    width = max(60, min(100, shutil.get_terminal_size().columns))
    if topic == "sample":
        return _sample_help(width)
    if topic == "verify":
        return _VERIFY
    if topic == "models":
        return _MODELS
    if topic not in PIPELINES:
        return _OVERVIEW
    config = PIPELINES[topic]
    doc = (config.__doc__ or "").strip()
    usage = f"python -m beam_pipeline {topic} [--config FILE] [--option value ...] [Beam options]"
    return "\n".join([usage, "", doc, *pipeline_lines(config, width)])


def pipeline_lines(config: type[PipelineConfig], width: int) -> Iterator[str]:
    """Yield the options of a pipeline as lines, grouped by stage."""
    for title, options in by_section(config.options().values()):
        used = [option for option in options if is_built(config, option) and not option.instead]
        if used:
            yield from ["", title]
        for option in used:
            yield from option_lines(option, width)
    unused = [option for option in config.options().values() if not is_built(config, option)]
    yield from _names("Accepted, and not built yet as stages (docs/options.md)", unused, width)
    ignored = [option for option in config.options().values() if option.instead]
    yield from _names("Accepted, and without effect here (docs/options.md)", ignored, width)


def is_built(config: type[PipelineConfig], option: Option) -> bool:
    """Return whether the stage of an option exists."""
    section: Any = config.model_fields[option.section].annotation
    return bool(section.built)


def by_section(options: Iterable[Option]) -> Iterator[tuple[str, list[Option]]]:
    """Yield (heading, options) in the order of the stages."""
    for title, group in groupby(options, key=lambda option: option.title):
        yield title, list(group)


def default_text(option: Option) -> str:
    """Return an option's default as a file would spell it."""
    default = list(option.default) if isinstance(option.default, tuple) else option.default
    return default if isinstance(default, str) and default else json.dumps(default)


def option_lines(option: Option, width: int) -> Iterator[str]:
    """Yield an option with its values, default and meaning."""
    default = "" if option.default is None else f"; default {default_text(option)}"
    values = option.values.removesuffix(" or null")
    head, text = f"--{option.name}  {values}{default}", option.help
    yield from _wrapped(head, width, indents=(2, 6))
    yield from _wrapped(text, width, indents=(6, 6))


def _wrapped(text: str, width: int, *, indents: tuple[int, int]) -> list[str]:
    first, later = (" " * indent for indent in indents)
    return textwrap.wrap(
        text, width, initial_indent=first, subsequent_indent=later, break_on_hyphens=False
    )


def _names(heading: str, options: list[Option], width: int) -> Iterator[str]:
    if options:
        names = ", ".join(option.name for option in options)
        yield from ["", heading]
        yield from _wrapped(names, width, indents=(2, 2))


def _sample_help(width: int) -> str:
    lines = ["python -m beam_pipeline sample --output DIR [--hours H] [--seed S]", ""]
    lines += [inspect.cleandoc(SampleOptions.__doc__ or ""), ""]
    for option in section_options("sample", SampleOptions):
        lines += option_lines(option, width)
    return "\n".join(lines)


def options_markdown() -> str:
    """Return ``docs/options.md``: every option of every pipeline."""
    lines = [
        "# Options",
        "",
        "Generated by `python -m beam_pipeline.docs.options`; do not edit.",
        "",
        "Names and defaults are those of Cosmos-Curate where it has the option. In files, `null`",
        "for an option that cannot be null means its default.",
    ]
    owners = {name: config.options() for name, config in PIPELINES.items()}
    for title, options in by_section(CurateConfig.options().values()):
        built = is_built(CurateConfig, options[0])
        lines += ["", f"## {title}" + ("" if built else " (not built yet)"), ""]
        lines += ["| option | default | values | of | meaning |", "|---|---|---|---|---|"]
        for option in options:
            of = ", ".join(name for name, known in owners.items() if option.name in known)
            lines.append(_row(option, of))
    return "\n".join(lines) + "\n"


def _row(option: Option, pipelines: str) -> str:
    meaning = option.help
    if option.instead:
        meaning = f"Without effect here; instead: {option.instead}."
    if option.aliases:
        meaning += " Also spelled " + ", ".join(f"`{alias}`" for alias in option.aliases) + "."
    cells = [f"`{option.name}`", f"`{default_text(option)}`", option.values, pipelines, meaning]
    return table_row(cells)
