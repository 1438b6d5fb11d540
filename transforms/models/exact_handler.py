"""The wrapper around every model: one result per example, in order, whatever the model does."""

from __future__ import annotations

import abc
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from apache_beam.ml.inference.base import ModelHandler

Example = TypeVar("Example")
Result = TypeVar("Result")
Model = TypeVar("Model")


@dataclass(frozen=True, slots=True)
class ModelError:
    """Why a model gave no result for an example; the others of its batch have theirs."""

    reason: str
    message: str


class ExactHandler(
    ModelHandler[Example | None, "Result | ModelError | None", Model],
    abc.ABC,
    Generic[Example, Result, Model],
):
    """A model handler that cannot lose or shift results.

    Beam joins results to keys by their order, so a model that leaves an example out would give all
    later examples of a batch the results of others. Here an example that is None (a clip that was
    rejected or failed before) gets None without the model seeing it; an error of the kinds in
    ``errors`` becomes the ``ModelError`` of the one example that raised it.
    """

    errors: tuple[type[Exception], ...] = ()
    """Kinds of errors that are about an example; any other ends the bundle."""

    def __init__(self, *, batch_size: int, example_bytes: int, fills_batches: bool = False) -> None:
        """Keep how examples are batched.

        Args:
            batch_size: Most live examples of a batch.
            example_bytes: What one takes about; only for Beam's counters, which would otherwise
                pickle every batch to find out.
            fills_batches: Whether a batch waits until it is full or its bundle ends; else Beam
                finds out by measuring how large batches pay.
        """
        super().__init__(
            min_batch_size=batch_size if fills_batches else 1,
            max_batch_size=batch_size,
            element_size_fn=lambda example: int(_value(example) is not None),
        )
        self._example_bytes = example_bytes

    @abc.abstractmethod
    def predict(self, examples: Sequence[Example], model: Model) -> Sequence[Result]:
        """Return one result per example, in order."""

    def run_inference(
        self,
        batch: Sequence[Example | None],
        model: Model,
        inference_args: dict[str, Any] | None = None,
    ) -> Iterable[Result | ModelError | None]:
        """Return one result per example of the batch, in order.

        Raises:
            RuntimeError: The model gave another number of results than it got examples.
        """
        live = [example for example in batch if example is not None]
        # Threads of a worker share the model; two batches at once would need twice its memory.
        with _batch_lock:
            results = iter(self._results(live, model))
        return [None if example is None else next(results) for example in batch]

    def get_num_bytes(self, batch: Sequence[Example | None]) -> int:
        """Return about how many bytes a batch holds."""
        return self._example_bytes * len(batch)

    def _results(self, live: Sequence[Example], model: Model) -> Sequence[Result | ModelError]:
        if not live:
            return []
        try:
            return self._counted(live, model)
        except self.errors:
            # One of them is to blame: which one is found out one by one.
            return [self._one(example, model) for example in live]

    def _one(self, example: Example, model: Model) -> Result | ModelError:
        try:
            return self._counted([example], model)[0]
        except self.errors as error:
            return ModelError(type(error).__name__, str(error))

    def _counted(self, examples: Sequence[Example], model: Model) -> Sequence[Result]:
        results = self.predict(examples, model)
        if len(results) != len(examples):
            raise RuntimeError(
                f"{type(self).__name__} gave {len(results)} results for {len(examples)} examples"
            )
        return results


_batch_lock = threading.Lock()


def _value(example: Any) -> Any:
    """Return the example itself of a pair with its key."""
    return example[1] if isinstance(example, tuple) and len(example) == 2 else example
