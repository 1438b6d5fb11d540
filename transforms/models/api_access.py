"""Keys and addresses of served models: read in each process from its environment or a file.

Nothing here may be stored, logged or sent between processes.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from transforms.errors import PreflightError
from transforms.storage.endpoints import shown_endpoint

CONFIG_PATHS = (
    "/cosmos_curate/config/cosmos_curate.yaml",
    "~/.config/cosmos_curate/config.yaml",
    "~/.config/cosmos_curator/config.yaml",
)
"""Where upstream keeps its keys (contract §1.14), in the order in which they are looked for."""
GEMINI_URL = "https://generativelanguage.googleapis.com"
NO_KEY = "none"
"""What a server that asks for no key is sent: the client will not go without."""
_KEY = re.compile(r"[!-~]+")


@dataclass(frozen=True)
class ApiAccess:
    """How to reach a served model."""

    base_url: str | None
    """None: the client's own default."""
    api_key: str = field(repr=False)

    def without_key(self, text: str) -> str:
        """Return a text, such as an error's, with the key starred out."""
        return text.replace(self.api_key, "***") if self.api_key != NO_KEY else text


def openai_access(use: str) -> ApiAccess:
    """Return the access to an OpenAI-compatible endpoint.

    ``OPENAI_API_KEY`` and ``OPENAI_BASE_URL`` come first, then ``openai: {use: {api_key,
    base_url}}`` of upstream's configuration file. Where two uses need two endpoints,
    ``OPENAI_ENHANCE_BASE_URL`` and the like come before all.

    Args:
        use: ``caption``, ``enhance`` or ``embedding``.

    Raises:
        PreflightError: Neither says anything, the address is none of the web, or the file cannot
            be read.
    """
    stored = _stored("openai").get(use) or {}
    base_url = _variable(use, "BASE_URL") or stored.get("base_url")
    api_key = _variable(use, "API_KEY") or stored.get("api_key")
    if not api_key and not base_url:
        raise PreflightError(
            f"no OpenAI-compatible endpoint is known for {use}: set OPENAI_BASE_URL (and "
            f"OPENAI_API_KEY where the server asks for one), or openai: {use}: base_url, api_key "
            f"in {CONFIG_PATHS[1]}"
        )
    if base_url and not _is_web_address(str(base_url)):
        raise PreflightError(
            f"{shown_endpoint(str(base_url))} is no address of an OpenAI-compatible endpoint: "
            "correct OPENAI_BASE_URL, or base_url in the file; it begins with http:// or https://, "
            "and marks such as / or # in a password are written as %2F or %23"
        )
    return ApiAccess(base_url, str(api_key or NO_KEY))


def gemini_access() -> ApiAccess:
    """Return the access to the Gemini API.

    ``GOOGLE_API_KEY`` or ``GEMINI_API_KEY`` and ``GOOGLE_GEMINI_BASE_URL``, as Google's own client
    reads them, come first, then ``gemini: {api_key, base_url}`` of upstream's configuration file.

    Raises:
        PreflightError: There is no key, it or the address cannot be one, or the file cannot be
            read.
    """
    stored = _stored("gemini")
    environment = os.environ.get("GOOGLE_API_KEY") or os.environ.get("GEMINI_API_KEY")
    api_key = environment or stored.get("api_key")
    if not api_key:
        raise PreflightError(
            "no key of the Gemini API is known: set GEMINI_API_KEY, or gemini: api_key in "
            f"{CONFIG_PATHS[1]}"
        )
    if not _KEY.fullmatch(str(api_key)):
        # A client that cannot send it would quote it.
        raise PreflightError(
            "the key of the Gemini API holds spaces, line ends or characters that are not ASCII: "
            "set GEMINI_API_KEY, or gemini: api_key in the file, to the key alone"
        )
    base_url = str(os.environ.get("GOOGLE_GEMINI_BASE_URL") or stored.get("base_url") or GEMINI_URL)
    if not _is_web_address(base_url):
        raise PreflightError(
            f"{shown_endpoint(base_url)} is no address of the Gemini API: correct or unset "
            "GOOGLE_GEMINI_BASE_URL, or base_url in the file; it begins with http:// or https://"
        )
    return ApiAccess(base_url, str(api_key))


def _variable(use: str, name: str) -> str | None:
    return os.environ.get(f"OPENAI_{use.upper()}_{name}") or os.environ.get(f"OPENAI_{name}")


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        # Reading the port tells whether it is one.
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _stored(section: str) -> dict[str, Any]:
    for name in CONFIG_PATHS:
        path = Path(name).expanduser()
        if not path.is_file():
            continue
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            # What the parser quotes may be a key: only the kind of error is told.
            raise PreflightError(
                f"{path}: cannot be read as YAML ({type(error).__name__}); mend or remove it"
            ) from None
        found = content.get(section) if isinstance(content, dict) else None
        return found if isinstance(found, dict) else {}
    return {}
