"""A folder of a store, copied to this machine once: models are loaded from local files."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from pathlib import Path

from transforms.errors import PreflightError
from transforms.storage.interface import ObjectStat, StorageError
from transforms.storage.open_storage import storage_for
from transforms.storage.plain_names import is_plain_path, shown
from transforms.storage.uris import relative

VARIABLE = "BEAM_CURATE_MODELS"
"""Names the folder for the copies."""
_LIST = ".mirrored.json"
_TEMPORARY = ".copying-"


def mirror_folder() -> Path:
    """Return where copies of models lie, and stay for later runs."""
    told = os.environ.get(VARIABLE)
    if told:
        return Path(told).expanduser()
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(home).expanduser() / "beam-curate" / "models"


def mirrored(uri: str) -> Path | None:
    """Return a local folder with all that lies below ``uri``; None when nothing does.

    What is there in the right length and version is not copied again. Workers that ask at the
    same time wait for the first one.

    Args:
        uri: Folder of a store, such as ``s3://bucket/models/Qwen/Qwen2.5-VL-7B-Instruct``.

    Raises:
        PreflightError: The store or the local folder cannot be used.
    """
    folder = mirror_of(uri)
    try:
        found = _listed(uri)
        if not found:
            return None
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            _copy(uri, found, folder)
    except StorageError as error:
        raise _unreadable(uri, error) from error
    except OSError as error:
        raise PreflightError(
            f"{mirror_folder()}: {error.strerror or error}, so {uri} cannot be copied there; make "
            f"room, or name another folder with {VARIABLE}"
        ) from error
    return folder


def mirror_of(uri: str) -> Path:
    """Return where the copy of a folder lies, or will lie."""
    return mirror_folder() / hashlib.sha256(uri.encode()).hexdigest()[:16]


def store_names(uri: str) -> set[str]:
    """Return the names of all files below a folder of a store.

    Raises:
        PreflightError: It cannot be listed.
    """
    try:
        return {relative(one.uri, uri) for one in _listed(uri)}
    except StorageError as error:
        raise _unreadable(uri, error) from error


def _listed(uri: str) -> list[ObjectStat]:
    return list(storage_for(uri).list(uri))


def _unreadable(uri: str, error: StorageError) -> PreflightError:
    return PreflightError(
        f"model_weights_path={uri}: cannot be read: {error}; correct the address or the credentials"
    )


def _copy(uri: str, found: list[ObjectStat], folder: Path) -> None:
    _refuse_names_that_lead_outside(uri, found)
    stored = _stored(folder)
    listed: dict[str, list[int | str]] = {}
    for one in found:
        name = relative(one.uri, uri)
        path = folder / name
        mark: list[int | str] = [one.num_bytes, one.version]
        is_there = path.is_file() and path.stat().st_size == one.num_bytes
        if stored.get(name) != mark or not is_there:
            _copy_one(one, path)
        listed[name] = mark
        # After every file: a copy that was cut short goes on where it stopped.
        (folder / _LIST).write_text(json.dumps({**stored, **listed}), encoding="utf-8")
    for name in stored.keys() - listed.keys():
        (folder / name).unlink(missing_ok=True)
    (folder / _LIST).write_text(json.dumps(listed), encoding="utf-8")


def _refuse_names_that_lead_outside(uri: str, found: list[ObjectStat]) -> None:
    """Raise PreflightError for keys such as ``model/../../x``, which a store takes as they are."""
    for one in found:
        name = relative(one.uri, uri)
        if not is_plain_path(name):
            raise PreflightError(
                f"model_weights_path={uri}: holds {shown(name)}, which as a file would lie outside "
                "the model's folder; remove it there, and ask who put it there"
            )


def _copy_one(one: ObjectStat, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(_TEMPORARY + path.name)
    with storage_for(one.uri).open_seekable(one.uri) as source, temporary.open("wb") as target:
        shutil.copyfileobj(source, target, 8 << 20)
    num_bytes = temporary.stat().st_size
    if num_bytes != one.num_bytes:
        temporary.unlink()
        raise PreflightError(
            f"{one.uri}: needed {one.num_bytes} bytes, got {num_bytes}; was it replaced "
            "meanwhile? Run the command again"
        )
    temporary.replace(path)


def _stored(folder: Path) -> dict[str, list[int | str]]:
    try:
        stored: dict[str, list[int | str]] = json.loads(
            (folder / _LIST).read_text(encoding="utf-8")
        )
    except (FileNotFoundError, ValueError):
        return {}
    return stored
