"""Read a finished dataset with a torch DataLoader, decode every sample and check it.

    python examples/train_loader.py ./beam-curate-quickstart/webdataset/v0 --workers 2

Every bin has a ``wdinfo.json``. Its tars come in pairs: ``video/part_000000/000000.tar`` holds the
mp4 files, ``metas/part_000000/000000.tar`` the JSON of the same samples in the same order.
"""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import webdataset


def list_tars(dataset: Path) -> list[tuple[str, str]]:
    """Return the tars of a dataset as (video tar, metas tar), bin by bin.

    Args:
        dataset: The folder that holds ``wdinfo_list.csv``.
    """
    tars = []
    for line in (dataset / "wdinfo_list.csv").read_text().splitlines():
        # The list names absolute paths; the last four parts are right after a move, too.
        folder = dataset.joinpath(*Path(line).parent.parts[-3:])
        names = json.loads((folder / "wdinfo.json").read_text())["data_list"]
        tars += [(str(folder / "video" / name), str(folder / "metas" / name)) for name in names]
    return tars


def read_samples(tars: Sequence[tuple[str, str]]) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Yield mp4 and metadata of every sample."""
    # The tars are dealt to the workers below: webdataset must not deal them out once more, or every
    # worker but the first would find its tars empty.
    options = {"shardshuffle": False, "empty_check": False, "workersplitter": None}
    for video_tar, metas_tar in tars:
        videos = webdataset.WebDataset(video_tar, **options)
        metas = webdataset.WebDataset(metas_tar, **options)
        for video, meta in zip(videos, metas, strict=True):
            if video["__key__"] != meta["__key__"]:
                raise ValueError(
                    f"{video_tar} holds {video['__key__']} where {metas_tar} holds "
                    f"{meta['__key__']}; the tars do not belong together"
                )
            yield video["mp4"], json.loads(meta["json"])


def decode_sample(mp4: bytes, meta: dict[str, Any], *, fps_tolerance: float = 0.05) -> np.ndarray:
    """Return a sample's frames, (T, H, W, 3) uint8 RGB, after checking them.

    Args:
        mp4: The video.
        meta: Its metadata.
        fps_tolerance: Largest deviation of the frame rate, as a share of it. A window of a video
            with variable frame rate may be faster or slower than its clip.

    Raises:
        ValueError: Number of frames or frame rate are not what the metadata says.
    """
    with av.open(io.BytesIO(mp4), "r") as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        rate = float(container.streams.video[0].average_rate or 0)
    expected = meta["end_frame"] - meta["start_frame"] + 1
    if len(frames) != expected:
        raise ValueError(f"{meta['key']}: metadata says {expected} frames, got {len(frames)}")
    if abs(rate - meta["framerate"]) > fps_tolerance * meta["framerate"]:
        raise ValueError(f"{meta['key']}: metadata says {meta['framerate']} fps, got {rate}")
    return np.stack(frames)


def make_loader(dataset: Path, *, workers: int) -> Any:
    """Return a torch DataLoader of (frames as uint8 tensor (T, H, W, 3), metadata)."""
    import torch  # noqa: PLC0415 - only the loader needs it

    class Samples(torch.utils.data.IterableDataset):
        """Each worker reads every ``num_workers``-th pair of tars."""

        def __iter__(self) -> Iterator[tuple[torch.Tensor, dict[str, Any]]]:
            worker = torch.utils.data.get_worker_info()
            start, step = (worker.id, worker.num_workers) if worker else (0, 1)
            for mp4, meta in read_samples(list_tars(dataset)[start::step]):
                yield torch.from_numpy(decode_sample(mp4, meta)), meta

    # No batches here: samples differ in length. A trainer crops or pads and collates.
    # "fork", because a class made in a function cannot be sent to a process that starts afresh.
    return torch.utils.data.DataLoader(
        Samples(),
        batch_size=None,
        num_workers=workers,
        multiprocessing_context="fork" if workers else None,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Decode and check the whole dataset; print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("dataset", type=Path, help="folder that holds wdinfo_list.csv")
    parser.add_argument("--workers", type=int, default=2, help="processes that decode")
    options = parser.parse_args(arguments)
    num_samples = num_frames = 0
    for frames, _ in make_loader(options.dataset, workers=options.workers):
        num_samples += 1
        num_frames += len(frames)
    print(f"{num_samples} samples, {num_frames} frames: all decode, all as their metadata says")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
