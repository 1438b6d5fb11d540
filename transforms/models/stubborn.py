"""Send a request again until it is answered, or there is no point in it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from transforms.errors import CurateError
from transforms.models.backoff import wait_seconds

Result = TypeVar("Result")
Error = TypeVar("Error", bound=Exception)


class RetrySettings(Protocol):
    """How stubbornly requests are sent."""

    @property
    def retries(self) -> int:
        """How often a request that failed is sent again."""
        ...

    @property
    def retry_delay_seconds(self) -> float:
        """The pause before the first of these; doubled each time."""
        ...


@dataclass(frozen=True, slots=True)
class Failed:
    """What there is to know about an error before the request is sent again."""

    is_temporary: bool
    """Whether another attempt may fare better."""
    retry_after: str | None
    """Which pause the server asks for, as ``wait_seconds`` takes it."""


class GivenUpError(CurateError):
    """The last attempt failed; its error is the cause.

    Args:
        attempts: How many there were.
    """

    def __init__(self, attempts: int) -> None:
        super().__init__(f"failed after {attempts}")
        self.attempts = attempts


class BrokenOffError(CurateError):
    """The run ended between two attempts."""

    def __init__(self) -> None:
        super().__init__("the run ends")


class Stubborn:
    """Sends requests of one kind.

    Args:
        settings: How stubbornly.
        failures: Errors after which a request may be sent again; others are handed on.
        judge: Says of such an error whether it is; may raise what ends the run.
    """

    def __init__(
        self,
        settings: RetrySettings,
        failures: tuple[type[Error], ...],
        judge: Callable[[Error], Failed],
    ) -> None:
        self.closed = threading.Event()
        """Ends pauses, and with them requests, once it is set."""
        self._settings = settings
        self._failures = failures
        self._judge = judge

    def ask(self, send: Callable[[], Result]) -> Result:
        """Return what ``send`` returns.

        Raises:
            GivenUpError: It failed for good, or too often.
            BrokenOffError: There is to be no other attempt.
        """
        attempt = 0
        while True:
            attempt += 1
            try:
                return send()
            except self._failures as error:
                failed = self._judge(error)
                if attempt > self._settings.retries or not failed.is_temporary:
                    raise GivenUpError(attempt) from error
            base_seconds = self._settings.retry_delay_seconds
            pause = wait_seconds(attempt, base_seconds=base_seconds, retry_after=failed.retry_after)
            if self.closed.wait(pause):
                raise BrokenOffError
