"""Captions by any server that speaks OpenAI's chat completions, for example ``vllm serve``."""

from __future__ import annotations

import base64
import functools
import json
import logging
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import openai

from transforms.models.api_access import ApiAccess
from transforms.models.captions.engine import CaptionRequest, EngineGoneError
from transforms.models.captions.settings import OpenAISettings
from transforms.models.daemon_pool import DaemonPool
from transforms.models.openai_server import OpenAIServer, RequestFailedError, ServerGoneError
from transforms.models.stubborn import BrokenOffError
from transforms.records import CaptionAnswer

_REFUSED = (400, 422)
_UNAUTHORIZED = 401

_logger = logging.getLogger(__name__)


class OpenAIEngine:
    """Sends each window as a ``video_url`` with its mp4 inside, and the prompt (contract §1.14)."""

    def __init__(self, settings: OpenAISettings, access: ApiAccess) -> None:
        self.slots = settings.slots
        self._settings = settings
        self._refused = threading.Event()
        self._server = OpenAIServer(settings, access, refusals=(_UNAUTHORIZED,))
        self._pool = DaemonPool(settings.slots, "caption")

    def submit(self, request: CaptionRequest) -> Future[CaptionAnswer]:
        """Begin a request."""
        return self._pool.submit(functools.partial(self._answer, request))

    def close(self) -> None:
        """End the threads; waiting requests are not sent any more."""
        self._server.break_off()
        self._pool.close()
        self._server.client.close()

    def _answer(self, request: CaptionRequest) -> CaptionAnswer:
        body = self._body(request)
        try:
            return self._server.ask(lambda: _read(self._send(body, request)))
        except BrokenOffError as error:
            return CaptionAnswer("error", reason="exception", message=str(error))
        except RequestFailedError as error:
            return CaptionAnswer(
                "error",
                reason="timeout" if error.is_timeout else "exception",
                message=f"{request.request_id}: {error}",
            )
        except ServerGoneError as gone:
            raise EngineGoneError(f"{self._server.where}: {_why_gone(gone)}") from None

    def _body(self, request: CaptionRequest) -> dict[str, Any]:
        # ``video_url`` is an extension of servers, unknown to the client's own types.
        body: dict[str, Any] = {"model": self._settings.model, "messages": _messages(request)}
        if self._settings.max_tokens is not None:
            body["max_tokens"] = self._settings.max_tokens
        return body

    def _send(self, body: dict[str, Any], request: CaptionRequest) -> Any:
        """Return the server's answer; what only helps is left out where the server refuses it."""
        helps = {} if self._refused.is_set() else _helps(request, self._settings)
        create = self._server.client.chat.completions.create
        if not helps:
            return create(**body)
        try:
            return create(**body, **helps)
        except openai.APIStatusError as error:
            if error.status_code not in _REFUSED:
                raise
            completion = create(**body)
            # It was that: no later request tries again.
            self._refused.set()
            _logger.warning(
                "%s: refuses %s (HTTP %d); it is asked without",
                self._server.where,
                " and ".join(helps),
                error.status_code,
            )
            return completion


def _why_gone(gone: ServerGoneError) -> str:
    if gone.status is None:
        return "the endpoint for captions does not answer any more; start it again"
    return (
        f"the endpoint for captions refuses the API key by now (HTTP {gone.status}); set "
        "OPENAI_API_KEY and run the same command again"
    )


def _helps(request: CaptionRequest, settings: OpenAISettings) -> dict[str, Any]:
    """Return what makes answers better and no server must know."""
    helps: dict[str, Any] = {}
    if request.json_schema is not None:
        # Not strict: few schemas are what OpenAI's strict mode takes, and answers are checked.
        schema = {"name": "caption", "schema": json.loads(request.json_schema)}
        helps["response_format"] = {"type": "json_schema", "json_schema": schema}
    if settings.temperature is not None:
        helps["temperature"] = settings.temperature
    if settings.top_p is not None:
        helps["top_p"] = settings.top_p
    return helps


def _messages(request: CaptionRequest) -> list[dict[str, Any]]:
    content: list[dict[str, Any]] = [{"type": "text", "text": request.prompt}]
    if request.mp4_path is not None:
        video = base64.b64encode(Path(request.mp4_path).read_bytes()).decode()
        url = f"data:video/mp4;base64,{video}"
        content.insert(0, {"type": "video_url", "video_url": {"url": url}})
    return [{"role": "user", "content": content}]


def _read(completion: Any) -> CaptionAnswer:
    """Return the answer of a completion; an empty text is an error.

    Raises:
        ValueError: It is no completion: the client hands on what a server says as it is.
    """
    try:
        [choice, *_] = completion.choices
        text = (choice.message.content or "").strip()
        finish = choice.finish_reason
        usage = completion.usage
        tokens = (int(usage.prompt_tokens), int(usage.completion_tokens)) if usage else (0, 0)
    except (AttributeError, TypeError) as error:
        raise ValueError(f"what the server sent is no chat completion ({error})") from error
    if finish == "content_filter":
        return CaptionAnswer("blocked", text, "", "content_filter", *tokens)
    if not text:
        return CaptionAnswer("error", "", "exception", "the caption is empty", *tokens)
    return CaptionAnswer("truncated" if finish == "length" else "success", text, "", "", *tokens)
