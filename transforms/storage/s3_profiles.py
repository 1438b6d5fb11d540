"""Which credentials, endpoint and region a profile name stands for (contract §5).

A credentials file, named by ``COSMOS_S3_PROFILE_PATH`` or lying at ``/dev/shm/s3_creds_file``, is
asked alone: what it does not name is an error. Without one the AWS chain is asked: profiles of
``~/.aws``, environment variables, the role of the machine.
"""

from __future__ import annotations

import configparser
import os
from dataclasses import dataclass, field

from transforms.errors import PreflightError
from transforms.storage.routes import DEFAULT_PROFILE, StorageRoute

VARIABLE = "COSMOS_S3_PROFILE_PATH"
DEFAULT_FILE = "/dev/shm/s3_creds_file"
_FIELDS = {
    "aws_access_key_id": "access_key",
    "aws_secret_access_key": "secret_key",
    "aws_session_token": "session_token",
    "endpoint_url": "endpoint_url",
    "region": "region",
}


@dataclass(frozen=True, slots=True)
class S3Access:
    """What a client is made with. Secrets are left out of its ``repr``."""

    profile: str
    source: str
    """Where it comes from, for errors: a file, or the AWS chain."""
    access_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    endpoint_url: str | None = None
    region: str | None = None
    aws_profile: str | None = None
    """Profile of the AWS configuration, None: none is asked for."""


def credentials_file() -> str | None:
    """Return the credentials file of this process, None: the AWS chain is asked."""
    named = os.environ.get(VARIABLE)
    if named:
        return os.path.abspath(os.path.expanduser(named))
    return DEFAULT_FILE if os.path.isfile(DEFAULT_FILE) else None


def file_of(route: StorageRoute) -> str | None:
    """Return the credentials file in which the route's profile stands on this machine.

    It is the one that the route names; where that is not there, the one of this process, since
    another machine may keep the same file somewhere else. None: the AWS chain is asked.
    """
    path, own = route.credentials_file, credentials_file()
    return own if path is None or (own is not None and not os.path.isfile(path)) else path


def resolve(route: StorageRoute) -> S3Access:
    """Return what the profile of a route stands for.

    Raises:
        PreflightError: The credentials file or the profile is not there, or lacks a key.
    """
    path = file_of(route)
    if path is not None:
        return _from_file(path, route.profile)
    return S3Access(
        profile=route.profile,
        source="the AWS configuration and environment",
        aws_profile=None if route.profile == DEFAULT_PROFILE else route.profile,
    )


def _from_file(path: str, profile: str) -> S3Access:
    parser = _read(path)
    section = next((name for name in (profile, f"profile {profile}") if name in parser), None)
    if section is None:
        known = sorted(name.removeprefix("profile ") for name in parser.sections())
        raise PreflightError(
            f"profile {profile!r}: is not in the credentials file {path}, which has "
            f"{', '.join(known) or 'none'}; add a section [{profile}], or name another profile "
            "(input_s3_profile_name, output_s3_profile_name)"
        )
    values = {
        ours: text
        for theirs, ours in _FIELDS.items()
        if (text := parser.get(section, theirs, fallback="").strip())
    }
    for theirs in ("aws_access_key_id", "aws_secret_access_key"):
        if _FIELDS[theirs] not in values:
            raise PreflightError(
                f"profile {profile!r}: section [{section}] of the credentials file {path} has no "
                f"{theirs}; add it"
            )
    return S3Access(profile=profile, source=path, **values)


def _read(path: str) -> configparser.ConfigParser:
    # Secrets may hold percent signs; a section [default] is a profile, not everybody's defaults.
    parser = configparser.ConfigParser(interpolation=None, default_section="\0")
    try:
        with open(path, encoding="utf-8-sig") as file:
            parser.read_file(file)
    except FileNotFoundError as error:
        raise PreflightError(
            f"credentials file {path}: there is no such file ({VARIABLE} names it); mend the path, "
            f"or unset {VARIABLE} to use the AWS configuration"
        ) from error
    except OSError as error:
        raise PreflightError(
            f"credentials file {path}: cannot be read: {error.strerror}"
        ) from error
    except (configparser.Error, UnicodeDecodeError) as error:
        # The error's own text quotes lines of the file, which may be secrets.
        raise PreflightError(
            f"credentials file {path}: is not an INI file ({type(error).__name__}); it needs "
            "sections [name] with aws_access_key_id and aws_secret_access_key"
        ) from None
    return parser
