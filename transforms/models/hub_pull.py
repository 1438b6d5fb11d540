"""Download a model's files from the Hugging Face hub, by its own client, and check their sizes."""

from __future__ import annotations

import contextlib
import fnmatch
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transforms.errors import PreflightError
from transforms.models.hub_cache import MAIN, cache_folder, repository_folder
from transforms.storage.plain_names import is_plain_path, shown

_CLIENT = (
    "models are pulled by the package huggingface_hub, which is not installed here: "
    "pip install 'beam-curate[models]' (or pip install huggingface_hub)"
)
_COMMIT = re.compile(r"[0-9a-f]{40,64}")
_ON = "; run the same command again: it goes on with the file at which it stopped"


@dataclass(frozen=True)
class HubFile:
    """One file of a repository."""

    name: str
    num_bytes: int | None
    """None: the hub does not say."""


@dataclass(frozen=True)
class HubFiles:
    """What is to be pulled of a repository, at one commit."""

    hub_id: str
    asked: str
    """The revision that was asked for: a commit, branch or tag."""
    commit: str
    files: tuple[HubFile, ...]

    @property
    def num_bytes(self) -> int:
        """Return how large they are together."""
        return sum(file.num_bytes or 0 for file in self.files)


def hub_files(hub_id: str, *, revision: str | None, patterns: tuple[str, ...]) -> HubFiles:
    """Return the files of a repository that are used, as the hub lists them now.

    Args:
        hub_id: ``owner/name``.
        revision: Commit, branch or tag; None: ``main``.
        patterns: Of the files that are used.

    Raises:
        PreflightError: The client is missing, the hub cannot be reached or refuses, or it has no
            such repository, revision or file, each with what to do.
    """
    asked = revision or MAIN
    with _told(hub_id, asked):
        from huggingface_hub import HfApi  # noqa: PLC0415 - an extra

        info = HfApi().model_info(hub_id, revision=asked, files_metadata=True)
    files = tuple(
        HubFile(one.rfilename, one.size)
        for one in info.siblings or []
        if any(fnmatch.fnmatchcase(one.rfilename, pattern) for pattern in patterns)
    )
    missing = [
        pattern
        for pattern in patterns
        if not any(mark in pattern for mark in "*?[")
        and pattern not in {file.name for file in files}
    ]
    if missing or not files:
        raise PreflightError(
            f"{hub_id} at {asked} has no {', '.join(missing or patterns)}; was it moved? Name "
            "another revision with --revision"
        )
    _refuse_odd_names(hub_id, str(info.sha), files)
    return HubFiles(hub_id, asked, str(info.sha), files)


def _refuse_odd_names(hub_id: str, commit: str, files: tuple[HubFile, ...]) -> None:
    """Raise PreflightError for what a hub or a mirror of it may say, but not be believed.

    Commit and files become paths here, and the folder of the commit is removed in the end.
    """
    odd = [file.name for file in files if not is_plain_path(file.name)]
    if not _COMMIT.fullmatch(commit):
        odd.insert(0, commit)
    if odd:
        raise PreflightError(
            f"{hub_id}: the hub names {shown(odd[0])}, which is no commit and no file below the "
            "model's folder; nothing was pulled: check HF_ENDPOINT"
        )


def pull_file(listed: HubFiles, file: HubFile, folder: Path | None = None) -> Path:
    """Download one file, or what is missing of it, and return where it lies.

    Args:
        listed: Of which commit.
        file: One of ``listed.files``.
        folder: Where to, with the file's name below it; None: the hub's standard cache.

    Raises:
        PreflightError: As ``hub_files``; or the file came in another size than the hub lists.
    """
    with _told(listed.hub_id, listed.commit, disk=folder or cache_folder()):
        from huggingface_hub import hf_hub_download  # noqa: PLC0415 - an extra

        path = Path(
            hf_hub_download(listed.hub_id, file.name, revision=listed.commit, local_dir=folder)
        )
    num_bytes = path.stat().st_size
    if file.num_bytes is not None and num_bytes != file.num_bytes:
        raise PreflightError(
            f"{path}: needed {file.num_bytes} bytes, got {num_bytes}; remove it and run the "
            "command again"
        )
    return path


def note_revision(listed: HubFiles) -> None:
    """Record in the hub's cache what a branch or tag was when it was pulled."""
    if listed.asked != listed.commit:
        reference = repository_folder(listed.hub_id) / "refs" / listed.asked
        reference.parent.mkdir(parents=True, exist_ok=True)
        reference.write_text(listed.commit, encoding="utf-8")


@contextlib.contextmanager
def _told(hub_id: str, revision: str, disk: Path | None = None) -> Iterator[None]:
    """Raise what the client raises as PreflightError, with what to do; no token is in it."""
    try:
        from huggingface_hub import errors, get_token  # noqa: PLC0415 - an extra
    except ImportError:
        raise PreflightError(_CLIENT) from None
    # The client's HTTP library differs by its version: its errors have this common base.
    web_error: Any = errors.HfHubHTTPError.__bases__[0]
    try:
        yield
    except (web_error, OSError, ValueError) as error:
        causes = _first(
            (errors.GatedRepoError, _gated),
            (errors.RevisionNotFoundError, _no_revision),
            (errors.RepositoryNotFoundError, _no_repository),
            error=error,
        )
        text = causes(hub_id, revision) if causes else _other(error, hub_id, revision, disk)
        token = get_token()
        raise PreflightError(text.replace(token, "***") if token else text) from None


_Said = Callable[[str, str], str]


def _first(*pairs: tuple[type[Exception], _Said], error: Exception) -> _Said | None:
    return next((said for kind, said in pairs if isinstance(error, kind)), None)


def _gated(hub_id: str, _: str) -> str:
    token = (
        "the token that is set is of an account that has not done so"
        if _has_token()
        else "then set HF_TOKEN to a token of that account (or: hf auth login)"
    )
    return (
        f"{hub_id} is gated: accept its licence at {_page(hub_id)} with your account of the hub; "
        f"{token}"
    )


def _no_revision(hub_id: str, revision: str) -> str:
    return (
        f"{hub_id} has no revision {revision}; leave --revision out, or take one of "
        f"{_page(hub_id)}/commits/main"
    )


def _no_repository(hub_id: str, _: str) -> str:
    token = (
        "the token that is set may not read it"
        if _has_token()
        else "if it is private, set HF_TOKEN (or: hf auth login)"
    )
    return f"the hub has no model {hub_id}: correct the name; {token}"


def _other(error: Exception, hub_id: str, revision: str, disk: Path | None) -> str:
    status = getattr(getattr(error, "response", None), "status_code", None)
    reason = _reason(error)
    if status in (401, 403):
        return (
            f"the hub refuses {hub_id} (HTTP {status}): correct HF_TOKEN or remove it, and accept "
            f"the licence at {_page(hub_id)}"
        )
    if status is not None:
        return f"the hub answers {hub_id} at {revision} with HTTP {status} ({reason}){_ON}"
    if isinstance(error, OSError) and error.errno is not None and error.filename is not None:
        return f"{disk}: {error.strerror}; make room there, or name another place{_ON}"
    offline = (
        "HF_HUB_OFFLINE is set: unset it"
        if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on")
        else "check the network, its proxy (HTTPS_PROXY) and HF_ENDPOINT"
    )
    return (
        f"{hub_id}: the hub cannot be reached ({reason}); {offline}. On a machine that stays "
        "offline, copy the files there: models pull elsewhere with --model_weights_path FOLDER, "
        f"and name that folder in the run{_ON}"
    )


def _reason(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def _has_token() -> bool:
    from huggingface_hub import get_token  # noqa: PLC0415 - an extra

    return bool(get_token())


def _page(hub_id: str) -> str:
    return f"{os.environ.get('HF_ENDPOINT', 'https://huggingface.co').rstrip('/')}/{hub_id}"
