"""The standard cache of the Hugging Face hub, read without its client: nothing is downloaded."""

from __future__ import annotations

import os
from pathlib import Path

MAIN = "main"


def cache_folder() -> Path:
    """Return where the hub's client keeps what it downloaded, by its own variables."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if os.environ.get(name):
            return Path(os.environ[name]).expanduser()
    home = os.environ.get("HF_HOME")
    if not home:
        home = str(Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface")
    return Path(home).expanduser() / "hub"


def cached_snapshot(hub_id: str, revision: str | None = None) -> Path | None:
    """Return the folder of a repository's files in the cache, None when it has none.

    Args:
        hub_id: ``owner/name``.
        revision: A commit, or the name of a branch or tag; None: ``main``.
    """
    repository = repository_folder(hub_id)
    reference = repository / "refs" / (revision or MAIN)
    commit = revision or MAIN
    if reference.is_file():
        commit = reference.read_text(encoding="utf-8").strip()
    snapshot = repository / "snapshots" / commit
    return snapshot if snapshot.is_dir() else None


def cached_commits(hub_id: str) -> list[str]:
    """Return the commits of a repository that the cache has files of."""
    snapshots = repository_folder(hub_id) / "snapshots"
    return sorted(path.name for path in snapshots.iterdir()) if snapshots.is_dir() else []


def repository_folder(hub_id: str) -> Path:
    """Return the folder of one repository in the cache."""
    return cache_folder() / f"models--{hub_id.replace('/', '--')}"
