"""The error for a file of the dataset that is not what this program writes there."""

from __future__ import annotations

from transforms.json_files import BadJsonError
from transforms.shards.options import DatasetRun


def damaged_file(uri: str, run: DatasetRun) -> BadJsonError:
    """Return the error for the file at ``uri``."""
    return BadJsonError(
        f"{uri}: is not what this program writes there; "
        f"give verify --repair {run.dataset_root}, or another output_dataset_path"
    )
