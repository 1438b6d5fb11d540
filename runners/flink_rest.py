"""Flink's REST interface, as far as a run needs it: versions, slots, jobs, their ends.

Addresses are asked directly, whatever ``http_proxy`` says: cluster nodes are not behind a proxy.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from transforms.errors import CurateError

TIMEOUT_SECONDS = 5.0
TERMINAL_STATES = frozenset({"FINISHED", "FAILED", "CANCELED", "SUSPENDED"})
"""A job in one of these does nothing any more."""
_BUSY = 500
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class FlinkUnreachableError(CurateError):
    """No answer came from Flink's JobManager."""


class FlinkAnswerError(CurateError):
    """Flink's JobManager answered, but not what was asked: another server, or a job is gone."""


@dataclass(frozen=True)
class JobState:
    """One job of the cluster."""

    job_id: str
    name: str
    state: str
    """``RUNNING``, ``FINISHED``, ..."""

    @property
    def has_ended(self) -> bool:
        """Whether it does nothing any more."""
        return self.state in TERMINAL_STATES


class FlinkRest:
    """A JobManager's REST interface.

    Args:
        master: ``HOST:PORT``, or with ``http://`` or ``https://`` before it.
        timeout_seconds: Of each request.
    """

    def __init__(self, master: str, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self.url = (master if "://" in master else f"http://{master}").rstrip("/")
        self._timeout = timeout_seconds

    @property
    def address(self) -> str:
        """``HOST:PORT``, for people."""
        return urlsplit(self.url).netloc

    def version(self) -> str:
        """Return the cluster's version, such as ``1.19.3``."""
        return str(self._field(self._get("/config"), "flink-version"))

    def overview(self) -> dict[str, Any]:
        """Return ``taskmanagers``, ``slots-total``, ``slots-available``, ``jobs-running``, ..."""
        overview = self._get("/overview")
        self._field(overview, "slots-total")
        return dict(overview)

    def task_managers(self) -> list[dict[str, Any]]:
        """Return the TaskManagers: ``id``, ``path``, ``slotsNumber``, ``freeSlots``, ..."""
        return list(self._field(self._get("/taskmanagers"), "taskmanagers"))

    def jobs(self) -> list[JobState]:
        """Return all jobs that the JobManager remembers."""
        jobs = self._field(self._get("/jobs/overview"), "jobs")
        return [JobState(job["jid"], job["name"], job["state"]) for job in jobs]

    def job(self, job_id: str) -> dict[str, Any]:
        """Return ``state``, ``vertices``, ``plan``, ... of one job."""
        return dict(self._get(f"/jobs/{job_id}"))

    def exceptions(self, job_id: str) -> list[dict[str, Any]]:
        """Return why the job failed or was restarted, the newest first.

        Each has ``stacktrace`` and, when it came from a task, ``taskName`` and ``endpoint``.
        """
        history = self._get(f"/jobs/{job_id}/exceptions").get("exceptionHistory", {})
        return list(history.get("entries", []))

    def failed_host(self, job_id: str) -> str | None:
        """Return the machine of the first task that failed; None when there is none, or it is
        tried again already."""
        for vertex in self.job(job_id).get("vertices", []):
            if vertex.get("tasks", {}).get("FAILED"):
                subtasks = self._get(f"/jobs/{job_id}/vertices/{vertex['id']}")["subtasks"]
                for task in subtasks:
                    if task["status"] == "FAILED":
                        place = str(task.get("endpoint") or task.get("host") or "")
                        return place.rpartition(":")[0] or place or None
        return None

    def cancel(self, job_id: str) -> None:
        """Ask for the end of a job; nothing happens when it has ended already."""
        try:
            self._ask("PATCH", f"/jobs/{job_id}?mode=cancel")
        except FlinkAnswerError:
            if self.job(job_id).get("state") not in TERMINAL_STATES:
                raise

    def upload_jar(self, path: Path) -> str:
        """Give the cluster a jar, and return the id that it has there."""
        boundary = uuid.uuid4().hex
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="jarfile"; '
            f'filename="{path.name}"\r\nContent-Type: application/x-java-archive\r\n\r\n'
        )
        body = head.encode() + path.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
        answer = self._ask(
            "POST", "/jars/upload", body, f"multipart/form-data; boundary={boundary}"
        )
        return str(self._field(answer, "filename")).rpartition("/")[2]

    def run_jar(self, jar_id: str, entry_class: str, arguments: list[str]) -> str:
        """Run a program of a jar with these arguments, and return the id of its job."""
        order = {"entryClass": entry_class, "programArgsList": arguments}
        body = json.dumps(order).encode()
        answer = self._ask("POST", f"/jars/{jar_id}/run", body, "application/json")
        return str(self._field(answer, "jobid"))

    def delete_jar(self, jar_id: str) -> None:
        """Remove a jar from the cluster; what runs of it goes on."""
        self._ask("DELETE", f"/jars/{jar_id}")

    def _get(self, path: str) -> Any:
        return self._ask("GET", path)

    def _ask(
        self, method: str, path: str, body: bytes | None = None, content_type: str = ""
    ) -> Any:
        headers = {"Content-Type": content_type} if content_type else {}
        request = urllib.request.Request(self.url + path, data=body, headers=headers, method=method)
        try:
            with _DIRECT.open(request, timeout=self._timeout) as answer:
                body = answer.read()
        except urllib.error.HTTPError as error:
            if error.code >= _BUSY:
                raise FlinkUnreachableError(
                    f"{self.url}: is starting or too busy ({error.code} {error.reason})"
                ) from error
            raise FlinkAnswerError(
                f"{self.url}{path}: answered {error.code} {error.reason}"
            ) from error
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            raise FlinkUnreachableError(f"{self.url}: no answer ({reason})") from error
        try:
            return json.loads(body or b"{}")
        except ValueError as error:
            raise FlinkAnswerError(f"{self.url}{path}: is not Flink's REST interface") from error

    def _field(self, answer: Any, name: str) -> Any:
        if not isinstance(answer, dict) or name not in answer:
            raise FlinkAnswerError(f"{self.url}: is not Flink's REST interface (no {name!r})")
        return answer[name]
