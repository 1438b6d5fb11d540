"""Running the program in this process as its user would, and reading what it left."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tree import tree

from beam_pipeline.cli import main


@dataclass(frozen=True)
class Curated:
    """The folders of one run of ``curate``."""

    raw: Path
    out: Path
    dataset: Path

    @classmethod
    def below(cls, folder: Path, raw: Path) -> Curated:
        """Return the folders of a run whose outputs lie side by side in ``folder``."""
        return cls(raw, folder / "processed", folder / "webdataset")

    def curate(self, *options: str) -> int:
        """Run ``curate`` and return its exit status."""
        return main(
            [
                "curate",
                "--input_video_path",
                str(self.raw),
                "--output_clip_path",
                str(self.out),
                "--no-predict",
                # What comes later wins.
                *("--splitting_algorithm", "fixed-stride"),
                *options,
            ]
        )

    def trees(self) -> dict[str, str]:
        """Return what must not differ between two runs, of output and dataset."""
        roots = {"<raw>": self.raw, "<out>": self.out, "<dataset>": self.dataset}
        return {
            **{f"out/{rel}": digest for rel, digest in tree(self.out, roots).items()},
            **{f"dataset/{rel}": digest for rel, digest in tree(self.dataset, roots).items()},
        }

    def metas(self) -> dict[str, dict[str, Any]]:
        """Return the metadata of every committed clip by id."""
        return {
            path.stem: json.loads(path.read_text())
            for path in sorted((self.out / "metas" / "v0").glob("*.json"))
        }

    def read(self, rel: str) -> Any:
        """Return a JSON file of the output."""
        return json.loads((self.out / rel).read_text())
