"""A log file that never grows beyond a bound, however much a worker prints."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import BinaryIO

from transforms.machine_locks import make_private

FOLDER_VARIABLE = "BEAM_CURATE_LOGS"
MAX_BYTES = 4 * 1024 * 1024
MAX_FILES = 200


def log_folder() -> Path:
    """Return the folder for the logs of workers, made if absent.

    It is what ``BEAM_CURATE_LOGS`` names, else ``beam-curate-logs-UID`` in the folder for temporary
    files.

    Raises:
        PreflightError: It cannot be made, or others may write to the default one.
    """
    named = os.environ.get(FOLDER_VARIABLE)
    if named:
        folder = Path(named)
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    return make_private(Path(tempfile.gettempdir()) / f"beam-curate-logs-{os.getuid()}")


class BoundedLog:
    """Writes to a file; when that is full it becomes ``NAME.1``, and a new one is begun.

    Args:
        path: The file; older logs beside it are removed when there are very many.
        max_bytes: Of each of the two files.
    """

    def __init__(self, path: Path, *, max_bytes: int = MAX_BYTES) -> None:
        self.path = path
        self._max_bytes = max_bytes
        _remove_oldest(path.parent)
        self._file: BinaryIO = path.open("ab", buffering=0)
        self._num_bytes = self._file.tell()
        self.tail = b""
        """The last bytes written, for a message."""

    def write(self, data: bytes) -> None:
        """Append; the oldest bytes go when there are too many.

        Raises:
            OSError: They cannot be written, for example for want of room; later ones may be.
        """
        self.tail = (self.tail + data)[-2000:]
        if self._num_bytes + len(data) > self._max_bytes:
            self._begin_anew()
        self._file.write(data[-self._max_bytes :])
        self._num_bytes += len(data)

    def _begin_anew(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            # It is gone where a new file could not be made the last time.
            self.path.replace(self.path.with_name(f"{self.path.name}.1"))
        file = self.path.open("wb", buffering=0)
        self._file.close()
        self._file, self._num_bytes = file, 0

    def last_line(self) -> str:
        """Return the last line that says something."""
        lines = self.tail.decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it printed nothing"

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _remove_oldest(folder: Path) -> None:
    logs = sorted(folder.glob("worker-*.log*"), key=lambda path: path.name)
    for path in logs[: max(0, len(logs) - MAX_FILES)]:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
