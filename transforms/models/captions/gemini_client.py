"""The four requests of the Gemini API that captions need.

By ``requests``, which is there anyway: Google's own client wants eight more packages and a newer
Python, and hides the pauses that the server asks for.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter

from transforms.errors import CurateError
from transforms.models.api_access import ApiAccess
from transforms.storage.endpoints import shown_endpoint

_VERSION = "v1beta"
_CONNECT_SECONDS = 10.0
_ERROR_STATUS = 300
"""No request of the API is redirected; a redirect would take the key along."""
_TEMPORARY = (408, 429)
_SERVER_ERRORS = 500


class GeminiError(CurateError):
    """A request got no answer, or one that cannot be read."""

    is_temporary = True
    retry_after: str | None = None
    """What the server asks to wait, in seconds."""


class GeminiAwayError(GeminiError):
    """Nobody answered."""


class GeminiTimeoutError(GeminiError):
    """It took too long."""


class GeminiRefusedError(GeminiError):
    """The server answered with an error.

    Args:
        status: Of HTTP.
        error: ``{code, message, status, details}``, as far as the server says.
        retry_after: The header.
    """

    def __init__(self, status: int, error: dict[str, Any], retry_after: str | None) -> None:
        name, message = str(error.get("status", "")), str(error.get("message", ""))[:500]
        super().__init__(f"HTTP {status} {name} {message}".strip())
        found = error.get("details")
        every = found if isinstance(found, list) else []
        details = [one for one in every if isinstance(one, dict)]
        asked = [one["retryDelay"] for one in details if "retryDelay" in one]
        self.status = status
        self.retry_after = retry_after or (str(asked[0]) if asked else None)
        self.is_day_s_end = status == 429 and any("PerDay" in name for name in _quotas(details))
        """Whether the day's quota is used up: waiting seconds is no help."""
        self.is_temporary = status in _TEMPORARY or status >= _SERVER_ERRORS
        is_bad_key = any(one.get("reason") == "API_KEY_INVALID" for one in details)
        self.is_about_access = status in (401, 403) or is_bad_key
        """Whether the key or its rights are refused."""


class GeminiClient:
    """Sends requests, each once; used by many threads.

    Every method raises ``GeminiError``.
    """

    def __init__(self, access: ApiAccess, *, timeout_seconds: float, connections: int = 1) -> None:
        if access.base_url is None:
            raise ValueError("the Gemini API needs an address")
        self.where = shown_endpoint(access.base_url)
        self._base_url = access.base_url.rstrip("/")
        self._access = access
        self._timeout = (_CONNECT_SECONDS, timeout_seconds)
        self._session = requests.Session()
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(pool_maxsize=connections, max_retries=0))

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def model(self, name: str) -> dict[str, Any]:
        """Return what the server says about a model."""
        return _content(self._send("GET", f"/{_VERSION}/{name}"))

    def models(self) -> list[str]:
        """Return the names of the models there are for this key, sorted."""
        listed = _content(self._send("GET", f"/{_VERSION}/models?pageSize=1000")).get("models")
        found = listed if isinstance(listed, list) else []
        return sorted(str(one["name"]) for one in found if isinstance(one, dict) and "name" in one)

    def generate(self, model: str, body: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to a prompt."""
        return _content(self._send("POST", f"/{_VERSION}/{model}:generateContent", json=body))

    def upload(self, path: Path, mime_type: str) -> dict[str, Any]:
        """Upload a local file; return what is known of it (``name``, ``uri``, ``state``)."""
        start = {
            "X-Goog-Upload-Protocol": "resumable",
            "X-Goog-Upload-Command": "start",
            "X-Goog-Upload-Header-Content-Length": str(path.stat().st_size),
            "X-Goog-Upload-Header-Content-Type": mime_type,
        }
        begun = self._send("POST", f"/upload/{_VERSION}/files", json={"file": {}}, headers=start)
        place = begun.headers.get("X-Goog-Upload-URL")
        if not place:
            raise GeminiError("the server names no address for the upload")
        rest = {"X-Goog-Upload-Command": "upload, finalize", "X-Goog-Upload-Offset": "0"}
        # The address may name another host: a proxy of the API hands on what the API says.
        here = urlsplit(self._base_url)
        target = urlsplit(place)._replace(scheme=here.scheme, netloc=here.netloc).geturl()
        with path.open("rb") as file:
            done = _content(self._send("POST", target, data=file, headers=rest))
        return _named(done.get("file"))

    def file(self, name: str) -> dict[str, Any]:
        """Return what is known of an uploaded file."""
        return _named(_content(self._send("GET", f"/{_VERSION}/{name}")))

    def delete(self, name: str) -> None:
        """Remove an uploaded file."""
        self._send("DELETE", f"/{_VERSION}/{name}")

    def _send(self, method: str, path: str, **more: Any) -> requests.Response:
        # In a header: addresses get into logs and messages.
        headers = {"x-goog-api-key": self._access.api_key, **more.pop("headers", {})}
        try:
            response = self._session.request(
                method,
                path if "://" in path else self._base_url + path,
                headers=headers,
                timeout=self._timeout,
                allow_redirects=False,
                **more,
            )
        except requests.ConnectTimeout as error:
            raise GeminiAwayError(self._said(error)) from None
        except requests.Timeout as error:
            raise GeminiTimeoutError(self._said(error)) from None
        except requests.ConnectionError as error:
            raise GeminiAwayError(self._said(error)) from None
        except requests.RequestException as error:
            raise GeminiError(self._said(error)) from None
        if response.status_code >= _ERROR_STATUS:
            raise self._refusal(response)
        return response

    def _refusal(self, response: requests.Response) -> GeminiRefusedError:
        try:
            content = response.json()
        except ValueError:
            content = None
        error = content.get("error") if isinstance(content, dict) else None
        told = error if isinstance(error, dict) else {}
        if "message" in told:
            told = {**told, "message": self._access.without_key(str(told["message"]))}
        return GeminiRefusedError(response.status_code, told, response.headers.get("Retry-After"))

    def _said(self, error: Exception) -> str:
        return f"{type(error).__name__}: {self._access.without_key(str(error))}"


def _content(response: requests.Response) -> dict[str, Any]:
    try:
        content = response.json()
    except ValueError:
        raise GeminiError("what the server sent is no JSON") from None
    if not isinstance(content, dict):
        raise GeminiError("what the server sent is no answer of the Gemini API")
    return content


def _named(file: Any) -> dict[str, Any]:
    if not isinstance(file, dict) or "name" not in file or "uri" not in file:
        raise GeminiError("what the server sent is no uploaded file")
    return file


def _quotas(details: list[dict[str, Any]]) -> list[str]:
    violations = [one.get("violations") for one in details]
    every = [violation for some in violations if isinstance(some, list) for violation in some]
    return [str(one.get("quotaId", "")) for one in every if isinstance(one, dict)]
