"""The file that says which run works in an output, and since when nothing was heard of it."""

from __future__ import annotations

import dataclasses
import time
import uuid
from dataclasses import dataclass
from typing import Any

from transforms.json_files import json_bytes, read_json
from transforms.machine import Process, this_process
from transforms.run_context import SCHEMA_VERSION
from transforms.storage.interface import NotFoundError, StorageError
from transforms.storage.open_storage import storage_for

_NOBODY = Process(host="unknown", boot_id="", pid_namespace="", pid=0, process_start="")


@dataclass(frozen=True, slots=True)
class Holder:
    """The run that a lease is of."""

    run_id: str
    process: Process
    """Its driver."""
    started_at: str
    """By the clock of its machine, in UTC; for people."""

    def __str__(self) -> str:
        process = self.process
        return (
            f"run {self.run_id} (process {process.pid} on {process.host}, "
            f"started {self.started_at})"
        )


@dataclass(frozen=True, slots=True)
class StoredLease:
    """A lease as it was read."""

    holder: Holder
    version: str
    """Of the object; it changes with every heartbeat."""
    modified_at: float
    """By the store's clock, in seconds."""
    is_given_back: bool
    """Whether its run has ended and only has to remove it, or could not."""


def lease_bytes(holder: Holder, *, is_given_back: bool = False) -> bytes:
    """Return the content of the file of a holder, different with every call.

    A store tells versions apart by their content: each heartbeat must be another one.
    """
    mark = {"given_back": True} if is_given_back else {}
    return json_bytes(
        {
            "schema_version": SCHEMA_VERSION,
            "run_id": holder.run_id,
            "started_at": holder.started_at,
            **dataclasses.asdict(holder.process),
            "beat": uuid.uuid4().hex,
            **mark,
        }
    )


def new_holder(run_id: str) -> Holder:
    """Return this process as the holder of a lease."""
    started_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return Holder(run_id, this_process(), started_at)


def read_lease(uri: str) -> StoredLease | None:
    """Return the lease, None when there is none.

    One that cannot be understood is of an unknown run: whether that lives, only its age tells.

    Raises:
        StorageError: The place cannot be looked at.
    """
    try:
        stat = storage_for(uri).stat(uri)
    except NotFoundError:
        return None
    try:
        value = read_json(uri)
    except NotFoundError:
        return None
    except StorageError:
        value = None
    is_given_back = isinstance(value, dict) and value.get("given_back") is True
    return StoredLease(_holder(value), stat.version, stat.modified_at, is_given_back)


def store_clock(uri: str) -> float:
    """Return the time by the clock of the store that holds ``uri``, in seconds.

    The clocks of two machines may differ by minutes; the store tells its own.
    """
    return storage_for(uri).clock(uri)


def _holder(value: Any) -> Holder:
    try:
        process = Process(
            **{field.name: value[field.name] for field in dataclasses.fields(Process)}
        )
        return Holder(str(value["run_id"]), process, str(value["started_at"]))
    except (TypeError, KeyError):
        return Holder("unknown", _NOBODY, "unknown")
