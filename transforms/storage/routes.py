"""Which credentials open which part of the stores: names and paths only, never a secret.

A process has one table. The program fills it from the options; workers fill it when they unpickle
what they are to do (``RunContext``, ``DatasetRun``), children from their environment.
"""

from __future__ import annotations

import dataclasses
import json
import os
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from transforms.storage.uris import is_inside

VARIABLE = "BEAM_CURATE_STORAGE_ROUTES"
"""Routes of a child process, as JSON."""
DEFAULT_PROFILE = "default"


@dataclass(frozen=True, slots=True, order=True)
class StorageRoute:
    """Everything at and below ``prefix`` is opened with one profile."""

    prefix: str
    """A URI such as ``s3://bucket/raw``."""
    profile: str = DEFAULT_PROFILE
    """Section of the credentials file, or profile of the AWS configuration."""
    credentials_file: str | None = None
    """Path of the credentials file; None: the one of ``s3_profiles``, else the AWS chain."""


_lock = threading.Lock()
_table: dict[str, StorageRoute] = {}


def register(routes: Iterable[StorageRoute]) -> None:
    """Add routes to the table of this process; of two with the same prefix the later one holds."""
    with _lock:
        _table.update((route.prefix.rstrip("/"), route) for route in routes)


def route_for(uri: str) -> StorageRoute:
    """Return the route with the longest prefix that holds ``uri``; profile ``default`` if none.

    Example:
        >>> route_for("s3://no-such-route/a").profile
        'default'
    """
    with _lock:
        routes = [route for prefix, route in _table.items() if is_inside(uri, prefix)]
    return max(routes, key=lambda route: len(route.prefix.rstrip("/")), default=StorageRoute(""))


def routes_variable() -> dict[str, str]:
    """Return the environment variable from which a child process learns the table."""
    with _lock:
        return {VARIABLE: json.dumps([dataclasses.asdict(route) for route in _table.values()])}


class RoutesHolder:
    """What carries routes to workers: made or unpickled, it registers its field ``routes``."""

    routes: tuple[StorageRoute, ...]

    def __post_init__(self) -> None:
        register(self.routes)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        register(self.routes)


def _inherit() -> None:
    register(StorageRoute(**route) for route in json.loads(os.environ.get(VARIABLE, "[]")))


_inherit()
