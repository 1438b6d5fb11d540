"""What works on top of any engine: passes in a row, JSON that fits, captions rewritten."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from transforms.errors import UsageError
from transforms.models.captions.chain.enhancement import EnhancingEngine
from transforms.models.captions.chain.futures import answered, then
from transforms.models.captions.chain.json_answer import AnswerSchema, candidates, schema_of
from transforms.models.captions.chain.second_pass import SecondPassEngine
from transforms.models.captions.chain.settings import NO_CHAIN
from transforms.models.captions.chain.structured import StructuredEngine
from transforms.models.captions.engine import CaptionRequest, EngineGoneError
from transforms.models.captions.settings import Structure
from transforms.records import CaptionAnswer

SCHEMA = json.dumps(
    {
        "type": "object",
        "required": ["camera", "events"],
        "properties": {
            "camera": {"enum": ["fixed", "moving"]},
            "events": {"type": "array", "items": {"type": "string"}},
        },
        "additionalProperties": False,
    }
)


class PooledEngine:
    """An engine of two threads whose answers a function gives; it keeps what it was asked."""

    slots = 2

    def __init__(self, answer: Callable[[CaptionRequest], CaptionAnswer]) -> None:
        self.asked: list[CaptionRequest] = []
        self._answer = answer
        self._pool = ThreadPoolExecutor(self.slots)

    def submit(self, request: CaptionRequest) -> Future[CaptionAnswer]:
        self.asked.append(request)
        return self._pool.submit(self._answer, request)

    def close(self) -> None:
        self._pool.shutdown(wait=True)


def texts(*said: str) -> PooledEngine:
    """Return an engine that gives these answers, one after the other; the last one for ever."""
    left = list(said)

    def answer(_: CaptionRequest) -> CaptionAnswer:
        text = left.pop(0) if len(left) > 1 else left[0]
        return CaptionAnswer("success", text, prompt_tokens=10, output_tokens=1)

    return PooledEngine(answer)


def ask(engine: object, prompt: str = "What?", **values: str) -> CaptionAnswer:
    request = CaptionRequest("clip_0_9", prompt, mp4_path="w.mp4", values=values)
    future: Future[CaptionAnswer] = engine.submit(request)  # type: ignore[attr-defined]
    return future.result(10)


class TestThen:
    def test_errors_of_both_and_of_what_is_between_come_out(self) -> None:
        gone: Future[CaptionAnswer] = Future()
        gone.set_exception(EngineGoneError("away"))
        fine = answered(CaptionAnswer("success", "a"))
        with pytest.raises(EngineGoneError):
            then(gone, lambda answer: answer).result(1)
        with pytest.raises(EngineGoneError):
            then(fine, lambda _: gone).result(1)
        with pytest.raises(ZeroDivisionError):
            then(fine, lambda _: CaptionAnswer("success", str(1 // 0))).result(1)

    def test_cancelling_cancels_what_is_open_and_asks_nothing_more(self) -> None:
        first: Future[CaptionAnswer] = Future()
        asked: list[CaptionAnswer] = []

        def follow(answer: CaptionAnswer) -> CaptionAnswer:
            asked.append(answer)
            return answer

        result = then(first, follow)
        assert result.cancel()
        assert first.cancelled()
        second: Future[CaptionAnswer] = Future()
        result = then(answered(CaptionAnswer("success", "a")), lambda _: second)
        assert result.cancel()
        assert second.cancelled()
        running: Future[CaptionAnswer] = Future()
        running.set_running_or_notify_cancel()
        result = then(running, follow)
        assert result.cancel()
        running.set_result(CaptionAnswer("success", "late"))
        assert asked == []

    def test_a_pass_never_waits_in_a_thread_of_the_engine(self) -> None:
        # Two slots, and both are needed at the same time by second passes: were a thread to wait
        # for its second pass, nothing would ever answer.
        both = threading.Barrier(2)

        def answer(request: CaptionRequest) -> CaptionAnswer:
            both.wait(10)
            return CaptionAnswer("success", request.prompt)

        engine = SecondPassEngine(PooledEngine(answer), "again: {caption}")
        futures = [engine.submit(CaptionRequest(str(n), f"p{n}")) for n in range(2)]
        assert [one.result(10).text for one in futures] == ["again: p0", "again: p1"]
        engine.close()


class TestSecondPass:
    def test_the_second_caption_counts_and_both_cost(self) -> None:
        inner = texts("a dog", "a dog runs")
        answer = ask(SecondPassEngine(inner, "Better {caption} of {width}"), width="64")
        assert [request.prompt for request in inner.asked] == ["What?", "Better a dog of 64"]
        assert [request.mp4_path for request in inner.asked] == ["w.mp4", "w.mp4"]
        assert answer == CaptionAnswer("success", "a dog runs", "", "", 20, 2)

    @pytest.mark.parametrize(
        ("second", "said"),
        [
            (CaptionAnswer("error", reason="timeout", message="too late"), "too late"),
            (CaptionAnswer("blocked", "no"), "the second caption is blocked"),
            (CaptionAnswer("truncated", "a dog ru"), "the second caption is truncated"),
        ],
    )
    def test_a_second_pass_of_no_use_leaves_the_first(
        self, second: CaptionAnswer, said: str
    ) -> None:
        first = CaptionAnswer("success", "a dog", prompt_tokens=3)
        left = [first, second]
        answer = ask(SecondPassEngine(PooledEngine(lambda _: left.pop(0)), "{caption}"))
        assert (answer.status, answer.text, answer.prompt_tokens) == ("success", "a dog", 3)
        assert (answer.second_pass_message, answer.message) == (said, "")

    def test_without_a_first_caption_nothing_is_asked(self) -> None:
        failed = CaptionAnswer("error", reason="exception", message="broken")
        inner = PooledEngine(lambda _: failed)
        assert ask(SecondPassEngine(inner, "{caption}")) == failed
        assert len(inner.asked) == 1

    def test_braces_in_a_caption_are_no_placeholders(self) -> None:
        inner = texts("{width} {{x}}", "fine")
        ask(SecondPassEngine(inner, "Better: {caption}"), width="64")
        assert inner.asked[1].prompt == "Better: {width} {{x}}"


class TestEnhancement:
    def test_the_text_model_sees_the_caption_alone(self) -> None:
        captions, lm = texts("a dog"), texts("<think>Hm.</think> A dog runs.")
        engine = EnhancingEngine(captions, lm, "Rewrite: {caption}")
        answer = ask(engine)
        [asked] = lm.asked
        assert (asked.prompt, asked.mp4_path, asked.frames) == ("Rewrite: a dog", None, None)
        assert (answer.status, answer.text, answer.prompt_tokens) == ("success", "a dog", 10)
        assert answer.enhancement is not None
        assert answer.enhancement.text == "A dog runs."
        assert (answer.enhancement.prompt_tokens, answer.enhancement.output_tokens) == (10, 1)
        assert engine.slots == 4

    @pytest.mark.parametrize(
        ("rewritten", "said"),
        [
            (CaptionAnswer("error", reason="exception", message="full"), "full"),
            (CaptionAnswer("truncated", "A dog ru"), "the rewritten caption is truncated"),
            (CaptionAnswer("success", "<think>a</think> "), "the rewritten caption is empty"),
        ],
    )
    def test_a_caption_that_cannot_be_rewritten_stays(
        self, rewritten: CaptionAnswer, said: str
    ) -> None:
        lm = PooledEngine(lambda _: rewritten)
        answer = ask(EnhancingEngine(texts("a dog"), lm, "{caption}"))
        assert (answer.status, answer.text) == ("success", "a dog")
        assert answer.enhancement is not None
        assert (answer.enhancement.text, answer.enhancement.message) == ("", said)

    def test_without_a_caption_the_text_model_is_not_asked(self) -> None:
        lm = texts("unasked")
        failed = CaptionAnswer("error", reason="exception", message="broken")
        assert ask(EnhancingEngine(PooledEngine(lambda _: failed), lm, "{caption}")) == failed
        assert lm.asked == []


class TestStructured:
    def test_an_answer_that_fits_is_taken_in_one_spelling(self) -> None:
        inner = texts('<think>{"camera": 1}</think>```json\n{"events": [], "camera": "fixed"}\n```')
        answer = ask(StructuredEngine(inner, Structure(SCHEMA)))
        assert answer.text == answer.json_text == '{"camera":"fixed","events":[]}'
        assert answer.status == "success"
        [asked] = inner.asked
        assert asked.prompt.startswith("What?\n\n")
        assert asked.prompt.endswith(SCHEMA)
        assert asked.json_schema == SCHEMA

    def test_a_misfit_is_asked_for_again_with_what_is_wrong(self) -> None:
        inner = texts(
            "a dog", '{"camera": "drone", "events": []}', '{"camera":"fixed","events":[]}'
        )
        answer = ask(StructuredEngine(inner, Structure(SCHEMA, retries=2)))
        assert (answer.status, answer.prompt_tokens, answer.output_tokens) == ("success", 30, 3)
        first, second, third = (request.prompt for request in inner.asked)
        assert "(there is no JSON in it):\na dog\n" in second
        assert "($.camera: 'drone' is not one of ['fixed', 'moving']):\n" in third
        assert all(prompt.startswith(first) for prompt in (second, third))

    def test_after_the_last_misfit_the_window_has_an_error(self) -> None:
        inner = texts('{"camera": "drone", "events": []}')
        answer = ask(StructuredEngine(inner, Structure(SCHEMA, retries=1)))
        assert (answer.status, answer.reason, answer.text) == ("error", "exception", "")
        assert answer.message == (
            "clip_0_9: after 2 answers none fits the schema of captioning_json_schema: "
            "$.camera: 'drone' is not one of ['fixed', 'moving']"
        )
        assert (len(inner.asked), answer.prompt_tokens) == (2, 20)

    def test_what_is_no_caption_is_not_asked_for_again(self) -> None:
        blocked = CaptionAnswer("blocked", "no")
        inner = PooledEngine(lambda _: blocked)
        assert ask(StructuredEngine(inner, Structure(SCHEMA))) == blocked
        assert len(inner.asked) == 1

    def test_a_second_pass_that_does_not_fit_leaves_the_first(self) -> None:
        inner = texts('{"camera":"fixed","events":[]}', "better")
        engine = SecondPassEngine(
            StructuredEngine(inner, Structure(SCHEMA, retries=0)), "{caption}"
        )
        answer = ask(engine)
        assert answer.json_text == '{"camera":"fixed","events":[]}'
        assert "none fits the schema" in answer.second_pass_message
        assert inner.asked[1].prompt.startswith('{"camera":"fixed","events":[]}\n\nAnswer with')


class TestJsonAnswer:
    @pytest.mark.parametrize(
        ("answer", "found"),
        [
            ('{"a": 1}', [{"a": 1}, {"a": 1}]),
            ('```\n{"a": 1}\n```', [{"a": 1}, {"a": 1}]),
            ('Sure: {"a": "}"} and {"b": 2}', [{"a": "}"}, {"b": 2}]),
            ('{"a": {"b": 1}} [2]', [{"a": {"b": 1}}, [2]]),
            ('{"a": 1', []),
            ('{"a": 1e999}', []),
            ('{"a": NaN}', []),
            ("", []),
            ("[" * 100_000, []),
            ("{" * 100_000, []),
            ("7", [7]),
            ('<think>{"a": 1}', [{"a": 1}]),
            ('x</think>{"a": 1}</think>{"b": 2}', [{"b": 2}, {"b": 2}]),
        ],
    )
    def test_json_in_what_a_model_says(self, answer: str, found: list[object]) -> None:
        assert list(candidates(answer)) == found

    def test_the_first_value_that_fits_is_taken_and_the_first_problem_told(self) -> None:
        schema = AnswerSchema('{"type": "object", "required": ["a"]}')
        assert schema.fitting('[1] {"b": 1} {"a": "ü"}') == ('{"a":"ü"}', "")
        assert schema.fitting('[1] {"b": 1}')[1] == "$: [1] is not of type 'object'"
        long = schema.fitting(json.dumps(["x" * 10_000]))[1]
        assert len(long) == 500

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("{", "is not valid JSON"),
            ("[" * 100_000, "is not valid JSON"),
            ('{"minimum": NaN}', "is not valid JSON"),
            ("[]", "a JSON Schema is an object"),
            ("true", "a JSON Schema is an object"),
            ('{"type": "dog"}', "is no JSON Schema: $.type"),
            ('{"$ref": "#/$defs/gone"}', "'#/$defs/gone' refers to nothing"),
            ('{"$ref": "https://example.com/schema"}', "refers to nothing"),
            ('{"items": {"pattern": "("}}', "$.items.pattern: '(' is not a 'regex'"),
        ],
    )
    def test_what_is_no_schema(self, text: str, said: str) -> None:
        with pytest.raises(UsageError) as error:
            schema_of(text, option="captioning_json_schema=s.json")
        assert str(error.value).startswith("captioning_json_schema=s.json: ")
        assert said in str(error.value)

    def test_references_within_a_schema_are_followed(self) -> None:
        text = '{"$defs": {"word": {"type": "string"}}, "items": {"$ref": "#/$defs/word"}}'
        schema = AnswerSchema(schema_of(text, option="x"))
        assert schema.fitting('["a"]') == ('["a"]', "")
        assert schema.fitting("[1]") == ("", "$[0]: 1 is not of type 'string'")


def test_without_anything_on_top_the_engine_is_the_engine() -> None:
    inner = texts("a")
    assert NO_CHAIN.around(inner) is inner
    assert NO_CHAIN.definition() == {}
    inner.close()
