"""Where a run keeps its files: scratch on this machine, and what all of its machines must see."""

from __future__ import annotations

import contextlib
import logging
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from transforms.storage.interface import StorageError, StoreAwayError
from transforms.storage.open_storage import storage_for
from transforms.storage.uris import join, scheme_of

_FOLDER = "running"
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunPlace:
    """The folders of one run."""

    scratch: Path
    """On the machine of the command; its name is the run's id."""
    shared: str
    """What every machine of the run sees: counters, and what the last step has to tell."""
    workers: int | None = None
    """Worker processes that share one machine; None: all is in the process of the command."""

    @classmethod
    def here(cls, scratch: Path) -> RunPlace:
        """Return the place of a run on this machine alone."""
        return cls(scratch, str(scratch))

    @property
    def run_id(self) -> str:
        """Unique name of the run."""
        return self.scratch.name

    @property
    def progress_folder(self) -> str:
        """Folder of the counters' files."""
        return join(self.shared, "progress")

    @property
    def reports(self) -> str:
        """Folder where workers say why they cannot start."""
        return join(self.shared, "workers")

    @property
    def dataset_summary(self) -> str:
        """File that receives the DatasetSummary as JSON."""
        return join(self.shared, "dataset.json")


@contextlib.contextmanager
def shared_folder(lease: str, run_id: str) -> Iterator[str]:
    """Yield a folder of the run in the output, removed at the end.

    Args:
        lease: The lease that the run holds; the folder lies beside it.
        run_id: The run.
    """
    try:
        yield join(_folders(lease), run_id)
    finally:
        remove_shared(lease)


def remove_shared(lease: str) -> None:
    """Remove the shared folders of all runs; for whoever holds the lease: the others are dead.

    Args:
        lease: As for ``shared_folder``.
    """
    folders = _folders(lease)
    if not scheme_of(folders):
        shutil.rmtree(folders, ignore_errors=True)
        return
    storage = storage_for(folders)
    try:
        for stat in list(storage.list(folders)):
            storage.delete(stat.uri)
    except (StorageError, StoreAwayError) as error:
        # They are hidden and do no harm; the next run removes them.
        _logger.warning("counters of a run could not be removed: %s", error)


def _folders(lease: str) -> str:
    return join(lease.rpartition("/")[0], _FOLDER)
