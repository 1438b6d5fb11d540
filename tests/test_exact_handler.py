"""The wrapper around models: one result per example, in order, whatever the model does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.ml.inference.base import KeyedModelHandler, RunInference
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.util import assert_that, equal_to

from transforms.models.exact_handler import ExactHandler, ModelError

Predict = Callable[[Sequence[int]], Sequence[int]]


class TooBigError(Exception):
    """An error about one example."""


class Model:
    """What a handler loads."""


class Tripler(ExactHandler[int, int, Model]):
    """A model as one would write it; ``predict_all`` is what may go wrong."""

    errors = (TooBigError,)

    def __init__(self, predict_all: Predict, *, batch_size: int = 4) -> None:
        super().__init__(batch_size=batch_size, example_bytes=100)
        self._predict_all = predict_all

    def load_model(self) -> Model:
        return Model()

    def predict(self, examples: Sequence[int], model: Model) -> Sequence[int]:
        assert isinstance(model, Model)
        return self._predict_all(examples)


def triple(examples: Sequence[int]) -> list[int]:
    if any(example > 100 for example in examples):
        raise TooBigError("more than 100")
    return [3 * example for example in examples]


def skip_odd(examples: Sequence[int]) -> list[int]:
    return [3 * example for example in examples if example % 2 == 0]


def fail(examples: Sequence[int]) -> list[int]:
    raise ZeroDivisionError(f"{len(examples)} examples")


def run(handler: Tripler, batch: Sequence[int | None]) -> list[Any]:
    return list(handler.run_inference(batch, Model()))


def test_results_stand_in_the_order_of_their_examples() -> None:
    assert run(Tripler(triple), [1, 2, 3]) == [3, 6, 9]


def test_examples_that_are_none_are_not_shown_to_the_model() -> None:
    seen: list[int] = []

    def predict(examples: Sequence[int]) -> list[int]:
        seen.extend(examples)
        return triple(examples)

    assert run(Tripler(predict), [None, 1, None, None, 2]) == [None, 3, None, None, 6]
    assert seen == [1, 2]
    assert run(Tripler(fail), [None, None]) == [None, None]


@pytest.mark.parametrize("batch", [[1, 2, 3], [2, None, 3]])
def test_a_model_that_skips_an_example_is_an_error(batch: list[int | None]) -> None:
    with pytest.raises(RuntimeError, match=r"Tripler gave \d results for \d examples"):
        run(Tripler(skip_odd), batch)


def test_one_result_too_many_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="gave 3 results for 2 examples"):
        run(Tripler(lambda examples: [*examples, 0]), [1, 2])


def test_an_error_about_an_example_is_the_result_of_that_one_alone() -> None:
    error = ModelError("TooBigError", "more than 100")
    assert run(Tripler(triple), [1, 101, None, 3]) == [3, error, None, 9]


def test_a_model_that_skips_after_an_error_is_still_found_out() -> None:
    def predict(examples: Sequence[int]) -> list[int]:
        if len(examples) > 1:
            raise TooBigError("too many at once")
        return skip_odd(examples)

    with pytest.raises(RuntimeError, match="gave 0 results for 1 examples"):
        run(Tripler(predict), [2, 3])


def test_any_other_error_ends_the_bundle() -> None:
    with pytest.raises(ZeroDivisionError, match="2 examples"):
        run(Tripler(fail), [1, None, 2])


def test_threads_take_turns() -> None:
    at_once: list[int] = []
    most: list[int] = []

    def predict(examples: Sequence[int]) -> list[int]:
        at_once.append(1)
        most.append(len(at_once))
        time.sleep(0.02)
        at_once.pop()
        return triple(examples)

    handler = Tripler(predict)
    threads = [threading.Thread(target=run, args=(handler, [1, 2])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1, 1, 1]


def infer(handler: Tripler, pairs: list[tuple[str, int | None]], expected: list[Any]) -> None:
    """Run a pipeline around the handler as the stages do, and compare."""
    with beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner"])) as root:
        found = root | beam.Create(pairs) | RunInference(KeyedModelHandler(handler))
        assert_that(found, equal_to(expected))


def test_in_a_pipeline_every_key_gets_its_own_result() -> None:
    pairs: list[tuple[str, int | None]] = [
        (f"clip{number}", None if number % 3 == 0 else number) for number in range(20)
    ]
    expected = [(key, None if value is None else 3 * value) for key, value in pairs]
    infer(Tripler(triple), pairs, expected)


def test_in_a_pipeline_an_error_stays_with_its_key() -> None:
    pairs: list[tuple[str, int | None]] = [("a", 1), ("b", 101), ("c", 2), ("d", None)]
    error = ModelError("TooBigError", "more than 100")
    infer(Tripler(triple), pairs, [("a", 3), ("b", error), ("c", 6), ("d", None)])


def test_in_a_pipeline_a_model_that_skips_ends_the_run() -> None:
    # Without the wrapper the run ends well, with results on wrong keys.
    with pytest.raises(RuntimeError, match="results for"):
        infer(Tripler(skip_odd), [("a", 1), ("b", 2), ("c", 4)], [])


def test_batches_are_counted_in_live_examples() -> None:
    sizes: list[int] = []

    def predict(examples: Sequence[int]) -> list[int]:
        sizes.append(len(examples))
        return triple(examples)

    pairs: list[tuple[str, int | None]] = [
        (f"clip{number}", number if number % 5 == 0 else None) for number in range(40)
    ]
    handler = Tripler(predict, batch_size=2)
    kwargs = KeyedModelHandler(handler).batch_elements_kwargs()
    assert (kwargs["min_batch_size"], kwargs["max_batch_size"]) == (1, 2)
    assert sum(kwargs["element_size_fn"](pair) for pair in pairs) == 8


def test_the_size_of_a_batch_is_not_found_out_by_pickling() -> None:
    class NotPickled:
        def __reduce__(self) -> Any:
            raise AssertionError("pickled")

    handler = Tripler(triple)
    assert handler.get_num_bytes([NotPickled(), None]) == 200  # type: ignore[list-item]
