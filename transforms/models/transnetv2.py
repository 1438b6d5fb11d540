"""TransNetV2 as a model of Beam: small frames of a segment to two scores per frame."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from transforms.errors import PreflightError
from transforms.media.slots import children_here
from transforms.models.exact_handler import ExactHandler
from transforms.models.transnetv2_weights import FILE_NAME
from transforms.progress import count
from transforms.shots.score_windows import Frames, Scores, Segment, score_segment

CUDA_BATCH = 16
"""Windows scored at once on a GPU; on a processor more than one is slower (its cache)."""


@dataclass(frozen=True, slots=True)
class SegmentFrames:
    """A segment and where its frames lie; small, as it travels between steps."""

    segment: Segment
    path: str
    """A ``.npy`` file of the frames ``segment.seen``."""
    pad_end: bool


class ShotScorer:
    """The loaded network; windows in, scores out."""

    def __init__(self, weights: Path, *, device: str, num_threads: int) -> None:
        """Load the network.

        Args:
            weights: File of weights of the public PyTorch port.
            device: ``cpu`` or ``cuda``.
            num_threads: Windows scored side by side on a processor.

        Raises:
            PreflightError: The file does not hold this network's weights.
        """
        import torch  # noqa: PLC0415 - an extra; the graph is built without it

        self._network = load_network(weights).to(device)
        self.device = device
        self._threads = num_threads
        self.seconds = 0.0
        """What the network took so far: processor time; on a GPU, time that passed."""
        if device == "cpu":
            # One thread per window is faster than many per window, and its sums do not depend on
            # the number of cores.
            torch.set_num_threads(1)

    def score(self, windows: Iterable[Frames]) -> Iterator[Scores]:
        """Yield the scores of each window's frames, in order; few windows are held at a time."""
        if self.device != "cpu":
            yield from self._score_on_gpu(windows)
            return
        waiting = iter(windows)
        with ThreadPoolExecutor(self._threads) as pool:
            while group := list(islice(waiting, 4 * self._threads)):
                for scores, seconds in pool.map(self._timed, group):
                    self.seconds += seconds
                    yield scores

    def _timed(self, window: Frames) -> tuple[Scores, float]:
        """Return one window's scores and the processor time of this thread, the only one at it."""
        started = time.thread_time()
        scores = self._probabilities(window[None])[0]
        return scores, time.thread_time() - started

    def _score_on_gpu(self, windows: Iterable[Frames]) -> Iterator[Scores]:
        waiting = iter(windows)
        while group := list(islice(waiting, CUDA_BATCH)):
            by_length: dict[int, list[int]] = {}
            for position, window in enumerate(group):
                by_length.setdefault(len(window), []).append(position)
            scores: dict[int, Scores] = {}
            started = time.monotonic()
            for positions in by_length.values():
                batch = np.stack([group[position] for position in positions])
                scores.update(zip(positions, self._probabilities(batch), strict=True))
            self.seconds += time.monotonic() - started
            yield from (scores[position] for position in range(len(group)))

    def _probabilities(self, windows: Frames) -> Scores:
        """Map ``(B, T, 27, 48, 3)`` to ``(B, T, 2)``."""
        import torch  # noqa: PLC0415

        with torch.inference_mode():
            frames = torch.from_numpy(np.ascontiguousarray(windows)).to(self.device)
            scores: Scores = self._network(frames).sigmoid().cpu().numpy()
        return scores


def load_network(weights: Path) -> Any:
    """Return the network with these weights, ready to infer.

    Raises:
        PreflightError: The file is no file of weights, or of another network.
    """
    import pickle  # noqa: PLC0415 - for the name of an error only; nothing is unpickled here

    import torch  # noqa: PLC0415

    from transforms.models.transnetv2_network import TransNetV2, renamed_weights  # noqa: PLC0415

    network = TransNetV2()
    try:
        stored = torch.load(weights, map_location="cpu", weights_only=True)
        network.load_state_dict(renamed_weights(stored))
    except (OSError, EOFError, RuntimeError, AttributeError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        if isinstance(error, pickle.UnpicklingError):
            # What torch says goes on to advise loading it unsafely.
            reason = "it is no file of weights alone"
        raise PreflightError(
            f"{weights}: does not hold the weights of TransNetV2 ({reason}); needed is the file "
            f"{FILE_NAME} of the public PyTorch port"
        ) from error
    return network.eval()


class TransNetV2Handler(ExactHandler[SegmentFrames, Scores, ShotScorer]):
    """Runs the network on segments; the scores of a segment are ``(T, 2)``."""

    def __init__(
        self,
        weights: Path,
        *,
        num_threads: int,
        device: str | None = None,
        progress_folder: str | None = None,
    ) -> None:
        """Keep what to load.

        Args:
            weights: File of weights.
            num_threads: Windows scored side by side on a processor.
            device: ``cpu`` or ``cuda``; None: ``cuda`` where the worker has it.
            progress_folder: Where what the network takes is counted; None: nowhere.
        """
        # A segment keeps all threads busy by itself.
        super().__init__(batch_size=1, example_bytes=1024)
        self._weights = weights
        self._device = device
        self._threads = num_threads
        self._progress_folder = progress_folder

    def load_model(self) -> ShotScorer:
        """Load the network, once per process."""
        import torch  # noqa: PLC0415

        device = self._device or ("cuda" if torch.cuda.is_available() else "cpu")
        threads = children_here(self._threads)
        return ShotScorer(self._weights, device=device, num_threads=threads)

    def predict(self, examples: Sequence[SegmentFrames], model: ShotScorer) -> list[Scores]:
        """Return each segment's scores."""
        before = model.seconds
        scores = [
            score_segment(
                example.segment,
                np.load(example.path, mmap_mode="r", allow_pickle=False),
                model.score,
                pad_end=example.pad_end,
            )
            for example in examples
        ]
        if self._progress_folder is not None:
            count(self._progress_folder, seconds_of_inference=model.seconds - before)
        return scores
