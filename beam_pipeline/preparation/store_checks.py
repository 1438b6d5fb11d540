"""What is checked about object stores before a run: each right it needs is used once."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from beam_pipeline.configuration.config import AnyConfig, RecaptionConfig, ShardConfig, SplitConfig
from transforms.errors import PreflightError
from transforms.storage.interface import Storage, StorageError, StoreAwayError
from transforms.storage.local import TEMPORARY_PREFIX
from transforms.storage.open_storage import hasty_storage_for
from transforms.storage.s3 import S3Storage
from transforms.storage.uris import absolute, join, scheme_of

_WHY_CONDITIONS = (
    "without them two runs in one output, or two workers with one clip, could not be kept apart; "
    "write to another store, or to a local folder"
)


@dataclass(frozen=True)
class _Location:
    """One location in a store."""

    option: str
    uri: str
    is_output: bool = False
    is_file: bool = False
    """Whether it can only be one object: that needs no right to list."""

    def __str__(self) -> str:
        return f"{self.option}={self.uri}"


def check_stores(config: AnyConfig, *, writes: bool = True) -> None:
    """Raise unless the stores that the options name can be used as the run will use them.

    Inputs are listed and one object is read; in outputs one object is listed, created, created
    again, whole and in parts, replaced, read and removed. Nothing is left behind. A store that does
    not answer is given about half a minute.

    Args:
        config: The run's configuration; its routes are registered.
        writes: Whether outputs are written to; else they are only listed.

    Raises:
        PreflightError: Names the option, the bucket, the profile and what to do.
    """
    for location in _locations(config):
        storage = hasty_storage_for(location.uri)
        if not location.is_output:
            _check_input(location, storage)
            continue
        with _told(location, "cannot be listed"):
            next(storage.list(location.uri), None)
        if writes:
            _check_output(location, storage)


def _check_input(location: _Location, storage: Storage) -> None:
    found = None
    if not location.is_file:
        with _told(location, "cannot be listed"):
            found = next(storage.list(location.uri), None)
    with _told(location, "cannot be read"):
        # Whether an input that is empty will do is told by the checks of the run.
        if found is not None:
            storage.read_range(found.uri, 0, 1)
        elif storage.exists(location.uri):
            storage.read_range(location.uri, 0, 1)


def _check_output(location: _Location, storage: Storage) -> None:
    # Hidden from listings, so that a kill in the middle of this leaves nothing that is seen.
    probe = join(location.uri, ".work", f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}")
    with _told(location, "cannot be written to"):
        storage.write(probe, b"0")
    try:
        with _told(location, "what is written there cannot be read"):
            version = storage.stat(probe).version
            storage.read(probe)
        with _told(location, "has no conditional writes that work", cure=_WHY_CONDITIONS):
            _check_conditions(location, storage, probe, version)
    finally:
        with _told(location, "what is written there cannot be deleted"):
            storage.delete(probe)


def _check_conditions(location: _Location, storage: Storage, probe: str, version: str) -> None:
    if storage.create_if_absent(probe, b"1"):
        raise PreflightError(
            f"{location}: the store has no conditional writes: it created an object that was "
            f"there; {_WHY_CONDITIONS}"
        )
    if not storage.replace_if(probe, b"2", version):
        raise PreflightError(
            f"{location}: the store has no conditional writes: it does not replace an object by "
            f"its version; {_WHY_CONDITIONS}"
        )
    if storage.replace_if(probe, b"3", version):
        raise PreflightError(
            f"{location}: the store has no conditional writes: it replaced an object that had "
            f"changed; {_WHY_CONDITIONS}"
        )
    # Large files go in parts, and a store may know conditions for whole objects only.
    if isinstance(storage, S3Storage) and storage.create_in_parts_if_absent(probe, b"4"):
        raise PreflightError(
            f"{location}: the store has no conditional writes for uploads in parts: its "
            f"CompleteMultipartUpload replaced an object that was there; {_WHY_CONDITIONS}"
        )


@contextlib.contextmanager
def _told(location: _Location, problem: str, *, cure: str = "") -> Iterator[None]:
    try:
        yield
    except (StorageError, StoreAwayError) as error:
        raise PreflightError(
            f"{location}: {problem}: {error}{'; ' + cure if cure else ''}"
        ) from error


def _locations(config: AnyConfig) -> Iterator[_Location]:
    """Yield what lies in a store, inputs first."""
    for location in _all_locations(config):
        if scheme_of(location.uri):
            yield location


def _all_locations(config: AnyConfig) -> Iterator[_Location]:
    if isinstance(config, RecaptionConfig):
        root = absolute(str(config.sharding.input_clip_path))
        yield _Location("input_clip_path", root, is_output=True)
        return
    if isinstance(config, ShardConfig):
        yield _Location("input_clip_path", absolute(str(config.sharding.input_clip_path)))
    else:
        listed = config.input.input_video_list_json_path
        if listed:
            yield _Location("input_video_list_json_path", absolute(listed), is_file=True)
        yield _Location("input_video_path", absolute(str(config.input.input_video_path)))
        output = absolute(str(config.output.output_clip_path))
        yield _Location("output_clip_path", output, is_output=True)
    if not isinstance(config, SplitConfig):
        duplicates = config.sharding.input_semantic_dedup_path
        if duplicates:
            yield _Location("input_semantic_dedup_path", absolute(duplicates))
        dataset = absolute(str(config.sharding.output_dataset_path))
        yield _Location("output_dataset_path", dataset, is_output=True)
