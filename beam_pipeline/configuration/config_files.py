"""Reads configuration files: JSON or YAML, nested or flat, into a pipeline's name and values."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from transforms.errors import UsageError
from transforms.json_parsing import MAX_DEPTH, parse_json
from transforms.storage.interface import NotFoundError, StorageError
from transforms.storage.open_storage import storage_for
from transforms.storage.uris import scheme_of

SUFFIXES = (".json", ".yaml", ".yml")
MAX_CONFIG_BYTES = 1 << 20
"""Largest configuration file that is read."""
_OPENING = (
    yaml.FlowSequenceStartToken,
    yaml.FlowMappingStartToken,
    yaml.BlockSequenceStartToken,
    yaml.BlockMappingStartToken,
)
_CLOSING = (yaml.FlowSequenceEndToken, yaml.FlowMappingEndToken, yaml.BlockEndToken)


@dataclass(frozen=True)
class ConfigFile:
    """What a configuration file says."""

    name: str
    """The file, for messages."""
    pipeline: str | None
    values: dict[str, Any]
    """As written: keys may be spelled with dashes or be unknown."""


def quickstart_file() -> Path:
    """Return ``configs/quickstart.yaml`` of this checkout or of the installed package.

    It lies beside this package in both. Looking for ``configs`` on the import path could find a
    folder of that name in the user's current one.
    """
    return Path(__file__).resolve().parents[2] / "configs" / "quickstart.yaml"


def read_config_file(name: str | Path) -> ConfigFile:
    """Return the content of a configuration file.

    Its content is ``{"pipeline": ..., "args": {...}}``, or one mapping with ``pipeline`` beside the
    options, or only options.

    Raises:
        UsageError: The file is missing, has bad syntax, a doubled key or no mapping in it.
    """
    content = _parse(str(name))
    if content is None:
        raise UsageError(f"{name}: is empty; it needs a mapping of option names to values")
    if not isinstance(content, dict):
        raise UsageError(
            f"{name}: needs a mapping of option names to values, got {type(content).__name__}"
        )
    values = {str(key): value for key, value in content.items() if key != "pipeline"}
    pipeline = content.get("pipeline")
    if pipeline is not None and not isinstance(pipeline, str):
        raise UsageError(f"{name}: pipeline must be the name of a pipeline, got {pipeline!r}")
    if "args" in values:
        values = _nested(str(name), values)
    return ConfigFile(str(name), pipeline, values)


def _nested(name: str, values: dict[str, Any]) -> dict[str, Any]:
    beside = sorted(set(values) - {"args"})
    if beside:
        raise UsageError(
            f"{name}: has args and beside it {', '.join(beside)}; move these into args"
        )
    args = values["args"] if values["args"] is not None else {}
    if not isinstance(args, dict):
        raise UsageError(f"{name}: args must be a mapping, got {type(args).__name__}")
    return {str(key): value for key, value in args.items()}


def _parse(path: str) -> Any:
    text = _stored_text(path) if scheme_of(path) else _local_text(Path(path))
    if not text.strip():
        return None
    if path.lower().endswith(".json"):
        return _parse_json(path, text)
    return _parse_yaml(path, text)


def _local_text(path: Path) -> str:
    try:
        _refuse_large(str(path), path.stat().st_size)
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise UsageError(f"{path}: there is no such configuration file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from error


def _stored_text(uri: str) -> str:
    """Return a file in a store, opened with the profile ``default``: no option is known yet.

    Raises:
        PreflightError, StoreAwayError: There are no credentials, or the store cannot be asked.
    """
    storage = storage_for(uri)
    try:
        _refuse_large(uri, storage.stat(uri).num_bytes)
        return storage.read(uri).decode("utf-8-sig")
    except NotFoundError as error:
        raise UsageError(f"{uri}: there is no such configuration file") from error
    except (StorageError, UnicodeDecodeError) as error:
        raise UsageError(f"{uri}: cannot be read: {error}") from error


def _refuse_large(path: str, num_bytes: int) -> None:
    if num_bytes > MAX_CONFIG_BYTES:
        raise UsageError(
            f"{path}: needed a configuration file of at most {MAX_CONFIG_BYTES} bytes, "
            f"got {num_bytes}"
        )


def _parse_json(path: str, text: str) -> Any:
    try:
        return parse_json(text)
    except json.JSONDecodeError as error:
        raise UsageError(
            f"{path}, line {error.lineno}, column {error.colno}: is not JSON: {error.msg}"
        ) from error
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from error


class _UniqueKeys(yaml.SafeLoader):
    """Refuses a mapping that has a key twice; YAML itself would keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return the mapping."""
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key.value!r} occurs twice", key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def _parse_yaml(path: str, text: str) -> Any:
    try:
        _refuse_bombs(path, text)
        return yaml.load(text, Loader=_UniqueKeys)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error)
        raise UsageError(f"{path}{where}: is not YAML: {problem}") from error
    except ValueError as error:  # a date that there is not, a number of thousands of digits
        raise UsageError(f"{path}: is not YAML: {error}") from error


def _refuse_bombs(path: str, text: str) -> None:
    """Raise ``UsageError`` for a YAML text of which little stands for more than memory or time."""
    depth = 0
    for token in yaml.scan(text):
        depth += isinstance(token, _OPENING) - isinstance(token, _CLOSING)
        if depth > MAX_DEPTH:
            raise UsageError(f"{path}: lists and mappings nest deeper than {MAX_DEPTH}")
        if isinstance(token, yaml.AliasToken):
            raise UsageError(f"{path}: has a YAML alias (*name); write the values out")
