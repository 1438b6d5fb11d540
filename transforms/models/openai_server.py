"""A server that speaks OpenAI's API, and whether it is to blame for a request that failed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

import openai

from transforms.errors import CurateError
from transforms.models.api_access import ApiAccess
from transforms.models.stubborn import Failed, GivenUpError, RetrySettings, Stubborn
from transforms.storage.endpoints import shown_endpoint

Result = TypeVar("Result")
_TEMPORARY = (408, 409, 429)
_SERVER_ERRORS = 500
_ANSWER_SECONDS = 10.0
"""For a question that costs the server nothing."""


class ServerSettings(RetrySettings, Protocol):
    """What requests are sent by."""

    @property
    def timeout_seconds(self) -> float:
        """For one attempt."""
        ...


class RequestFailedError(CurateError):
    """The server gave no answer to one request.

    Args:
        message: For people; holds no key.
        is_timeout: Whether it took too long.
    """

    def __init__(self, message: str, *, is_timeout: bool) -> None:
        super().__init__(message)
        self.is_timeout = is_timeout


class ServerGoneError(CurateError):
    """No request would be answered any more.

    Args:
        status: With which the key is refused; None: nobody can be reached.
    """

    def __init__(self, status: int | None) -> None:
        super().__init__("the server is gone" if status is None else f"HTTP {status}")
        self.status = status


class OpenAIServer:
    """Sends requests, again where that may help.

    Args:
        settings: How.
        access: Where, and with which key.
        refusals: Statuses by which the server says that it takes the key no longer.
    """

    def __init__(
        self, settings: ServerSettings, access: ApiAccess, *, refusals: tuple[int, ...]
    ) -> None:
        self._access = access
        self._refusals = refusals
        self.client = openai.OpenAI(
            api_key=access.api_key,
            base_url=access.base_url,
            timeout=settings.timeout_seconds,
            # It would neither take our delays nor stop when it is closed.
            max_retries=0,
        )
        # An answer that is no JSON is a ValueError.
        self._stubborn = Stubborn(settings, (openai.OpenAIError, ValueError), _judged)

    @property
    def where(self) -> str:
        """The address as it may be shown."""
        return shown_endpoint(str(self.client.base_url))

    def ask(self, send: Callable[[], Result]) -> Result:
        """Return what ``send`` makes of the client's answer.

        Raises:
            RequestFailedError: It made nothing of it, also not later.
            ServerGoneError: Nor would any other request.
            BrokenOffError: The server's ``break_off`` was called.
        """
        try:
            return self._stubborn.ask(send)
        except GivenUpError as given_up:
            error = given_up.__cause__
            assert isinstance(error, Exception)
            self._raise_if_gone(error)
            raise RequestFailedError(
                f"{type(error).__name__} after {given_up.attempts}: "
                f"{self._access.without_key(str(error))}",
                is_timeout=isinstance(error, openai.APITimeoutError),
            ) from error

    def break_off(self) -> None:
        """End pauses before requests that would be sent again."""
        self._stubborn.closed.set()

    def _raise_if_gone(self, error: Exception) -> None:
        """Raise ServerGoneError when it is no fault of the request."""
        if isinstance(error, openai.APIStatusError) and error.status_code in self._refusals:
            raise ServerGoneError(error.status_code) from None
        if not isinstance(error, openai.APIConnectionError):
            return
        try:
            self.client.models.list(timeout=_ANSWER_SECONDS)
        except openai.APIConnectionError:
            raise ServerGoneError(None) from None
        except openai.OpenAIError:
            # It answers, if only to refuse.
            return


def _judged(error: Exception) -> Failed:
    if isinstance(error, openai.APIStatusError):
        is_temporary = error.status_code in _TEMPORARY or error.status_code >= _SERVER_ERRORS
        return Failed(is_temporary, error.response.headers.get("retry-after"))
    # Connections break; what cannot be read as an answer may be another server's in between.
    broken = openai.APIConnectionError, openai.APIResponseValidationError, ValueError
    return Failed(isinstance(error, broken), None)
