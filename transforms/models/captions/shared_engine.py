"""Models in a worker: one per process, shared by its threads, freed when nobody needs it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future

from transforms.models.captions.engine import CaptionEngine, CaptionRequest
from transforms.records import CaptionAnswer

_lock = threading.Lock()
_loaded: dict[str, tuple[Hashable, CaptionEngine]] = {}
"""Role to (key, engine)."""
_users = 0


class SharedEngine:
    """Stands for an engine that this process loads once, whoever asks.

    It is loaded for the first request, so never where nothing is left to do, and closed when the
    last step that ``use``s engines is torn down; a request that comes after that loads it again.

    Args:
        key: The same for the same engine.
        load: Loads it.
        slots: Requests that it works on at the same time.
        role: What for; of each role one engine is loaded.
    """

    def __init__(
        self,
        key: Hashable,
        load: Callable[[], CaptionEngine],
        *,
        slots: int,
        role: str = "caption",
    ) -> None:
        self.slots = slots
        self._role = role
        self._key = key
        self._load = load

    def submit(self, request: CaptionRequest) -> Future[CaptionAnswer]:
        """Begin a request.

        Raises:
            PreflightError: The engine cannot be loaded.
        """
        return self._engine().submit(request)

    def close(self) -> None:
        """Do nothing: others may use it."""

    def _engine(self) -> CaptionEngine:
        with _lock:
            key, engine = _loaded.get(self._role, (None, None))
            if engine is None or key != self._key:
                # Two models at once might not fit.
                if engine is not None:
                    del _loaded[self._role]
                    engine.close()
                engine = self._load()
                _loaded[self._role] = self._key, engine
            return engine


def use() -> None:
    """Say that a step of this process is about to use engines."""
    global _users  # noqa: PLW0603 - what a process shares
    with _lock:
        _users += 1


def release() -> None:
    """Say that a step is done; with the last one, engines are closed and their memory is free."""
    global _users  # noqa: PLW0603 - as above
    with _lock:
        _users -= 1
        left = list(_loaded.values()) if _users == 0 else []
        if left:
            _loaded.clear()
    # Outside: an engine waits for its threads, and one of them may be about to ask another engine.
    for _, engine in left:
        engine.close()


def num_loaded() -> int:
    """Return how many engines this process holds."""
    with _lock:
        return len(_loaded)
