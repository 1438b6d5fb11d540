"""From a command line to the configuration that it and its file ask for."""

from __future__ import annotations

import sys

from beam_pipeline.configuration.arguments import Arguments
from beam_pipeline.configuration.config import AnyConfig, load_config
from beam_pipeline.configuration.config_files import read_config_file
from beam_pipeline.configuration.settled import complete, ignored_warning, not_built
from transforms.errors import UsageError


def configured(arguments: Arguments) -> AnyConfig:
    """Return the configuration that file and command line ask for; warn of what has no effect.

    Raises:
        UsageError: They contradict each other, or ask for what cannot be.
    """
    file = read_config_file(arguments.file) if arguments.file else None
    pipeline = arguments.pipeline or (file.pipeline if file else None)
    if pipeline is None:
        raise UsageError(
            f'{arguments.file}: does not say which pipeline; put "pipeline": "split" (or '
            "shard, curate, recaption) into it, or name the pipeline on the command line"
        )
    if file and file.pipeline and file.pipeline != pipeline:
        raise UsageError(
            f"{file.name} is for pipeline {file.pipeline}, the command line says {pipeline}"
        )
    config = complete(load_config(pipeline, file.values if file else {}, arguments.overrides))
    if problems := not_built(config):
        raise UsageError("\n".join(problems))
    if warning := ignored_warning(config):
        print(f"Warning: {warning}", file=sys.stderr)
    return config
