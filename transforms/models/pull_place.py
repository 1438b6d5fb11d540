"""Where pulled models go: the hub's standard cache, a folder, or a folder of a store."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from transforms.errors import PreflightError
from transforms.models.hub_cache import cache_folder, repository_folder
from transforms.models.hub_pull import HubFile, HubFiles, note_revision, pull_file
from transforms.models.mirror import mirror_folder
from transforms.models.weight_files import COMMIT_FILE, UNFINISHED
from transforms.storage.interface import StorageError
from transforms.storage.open_storage import storage_for
from transforms.storage.uris import join, scheme_of

Tell = Callable[[str], None]


def pull(listed: HubFiles, place: str | None, tell: Tell) -> str:
    """Bring the files to a place, what is not there yet, and return that place for people.

    Args:
        listed: What to bring.
        place: Folder, here or in a store; the files lie below the hub id in it. None: the hub's
            standard cache.
        tell: Called with a line for each file.

    Raises:
        PreflightError: The hub, the disk or the store refuses; the same command goes on.
    """
    if place is None:
        _check_room(listed, repository_folder(listed.hub_id))
        for line, file in _numbered(listed):
            tell(line)
            pull_file(listed, file)
        note_revision(listed)
        return f"the hub's cache {cache_folder()}"
    if scheme_of(place):
        return _to_store(listed, join(place, listed.hub_id), tell)
    folder = Path(place).expanduser().absolute() / listed.hub_id
    _check_room(listed, folder)
    for line, file in _numbered(listed):
        tell(line)
        pull_file(listed, file, folder)
    (folder / COMMIT_FILE).write_text(listed.commit + "\n", encoding="utf-8")
    return str(folder)


def _to_store(listed: HubFiles, uri: str, tell: Tell) -> str:
    """Bring files to a store one by one, so that the local disk need hold only the largest."""
    storage = storage_for(uri)
    folder = mirror_folder() / "pulled" / listed.commit
    finished, begun = join(uri, COMMIT_FILE), join(uri, UNFINISHED)
    try:
        sizes = {one.uri: one.num_bytes for one in storage.list(uri)}
        commits = {
            storage.read(mark).decode().strip() for mark in (finished, begun) if mark in sizes
        }
        # Files of another commit may be as long as those of this one.
        there = sizes if commits == {listed.commit} else {}
        storage.write(begun, listed.commit.encode())
        storage.delete(finished)
        for line, file in _numbered(listed):
            target = join(uri, file.name)
            if file.num_bytes is not None and there.get(target) == file.num_bytes:
                tell(f"{line}: there already")
                continue
            tell(line)
            _store(pull_file(listed, file, folder), target)
        storage.write(finished, listed.commit.encode())
        storage.delete(begun)
    except StorageError as error:
        raise PreflightError(
            f"model_weights_path={uri}: cannot be written to ({error}); mend that and run the "
            "same command again"
        ) from error
    shutil.rmtree(folder, ignore_errors=True)
    return uri


def _store(path: Path, target: str) -> None:
    storage, needed = storage_for(target), path.stat().st_size
    storage.write(target, path)
    num_bytes = storage.stat(target).num_bytes
    if num_bytes != needed:
        raise PreflightError(
            f"{target}: needed {needed} bytes, got {num_bytes}; run the command again"
        )
    path.unlink()


def _numbered(listed: HubFiles) -> Iterator[tuple[str, HubFile]]:
    for number, file in enumerate(listed.files, 1):
        size = "" if file.num_bytes is None else f" ({size_text(file.num_bytes)})"
        yield f"  {number}/{len(listed.files)} {file.name}{size}", file


def _check_room(listed: HubFiles, folder: Path) -> None:
    """Raise PreflightError when what is still to come has no room on the disk."""
    existing = next(one for one in (folder, *folder.parents) if one.is_dir())
    there = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    to_come = listed.num_bytes - sum(path.stat().st_size for path in there)
    free = shutil.disk_usage(existing).free
    if to_come > free:
        raise PreflightError(
            f"{folder}: {listed.hub_id} needs {size_text(to_come)} more, and {size_text(free)} are "
            "free; make room, or name another place with --model_weights_path"
        )


def size_text(num_bytes: int) -> str:
    """Return a size as people read it.

    Example:
        >>> size_text(16_580_000_000), size_text(700_000)
        ('16.6 GB', '0.7 MB')
    """
    return f"{num_bytes / 1e9:.1f} GB" if num_bytes >= 1e9 else f"{num_bytes / 1e6:.1f} MB"
