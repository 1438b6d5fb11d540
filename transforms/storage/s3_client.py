"""The boto3 client of a profile: one per process, made when it is first needed."""

from __future__ import annotations

import functools
import os
import threading
from typing import TYPE_CHECKING, Any

from transforms.errors import PreflightError
from transforms.storage.endpoints import shown_endpoint
from transforms.storage.routes import StorageRoute
from transforms.storage.s3_profiles import S3Access, file_of, resolve

if TYPE_CHECKING:
    import boto3

CONNECT_SECONDS = 5
READ_SECONDS = 20
"""A connection that is silent for so long is given up and the request is sent again."""
MAX_ATTEMPTS = 8
"""Of one request; with boto3's own waits between them a store may be away for half a minute."""
HASTY_CONNECT_SECONDS = 3
HASTY_READ_SECONDS = 10
"""A store that works may take seconds for an answer."""
HASTY_ATTEMPTS = 3
"""A store that works may be busy twice in a row."""
MAX_CONNECTIONS = 32
_making = threading.Lock()


def client_for(route: StorageRoute, *, hasty: bool = False, once: bool = False) -> Any:
    """Return the client of the route's profile.

    Args:
        route: The route.
        hasty: Whether a request gives up after about half a minute, to tell people early.
        once: Whether no request is ever sent a second time.

    Raises:
        PreflightError: There is no such profile, or its credentials file cannot be read.
    """
    # A client that a forked process inherits would share its connections.
    with _making:
        return _client(route.profile, file_of(route), hasty, once, os.getpid())


@functools.cache
def _client(profile: str, credentials_file: str | None, hasty: bool, once: bool, _pid: int) -> Any:
    access = resolve(StorageRoute("", profile, credentials_file))
    return make_client(access, hasty=hasty, once=once)


def make_client(access: S3Access, *, hasty: bool = False, once: bool = False) -> Any:
    """Return a new client.

    Addresses are path style where an endpoint is given (boto3 sees to that, also for
    ``AWS_ENDPOINT_URL``), unless the AWS configuration says ``addressing_style = virtual``.

    Raises:
        PreflightError: The AWS configuration has no such profile, or the endpoint is no URL.
    """
    # A second of import: only where a store is used.
    from botocore.config import Config  # noqa: PLC0415
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415

    attempts = 1 if once else HASTY_ATTEMPTS if hasty else MAX_ATTEMPTS
    config = Config(
        signature_version="s3v4",
        connect_timeout=HASTY_CONNECT_SECONDS if hasty else CONNECT_SECONDS,
        read_timeout=HASTY_READ_SECONDS if hasty else READ_SECONDS,
        max_pool_connections=MAX_CONNECTIONS,
        retries={"mode": "standard", "total_max_attempts": attempts},
        tcp_keepalive=True,
    )
    session = _session(access)
    try:
        return session.client("s3", endpoint_url=access.endpoint_url, config=config)
    except (ValueError, BotoCoreError) as error:
        # Their texts quote the address, which may hold a password.
        where = f" for {shown_endpoint(access.endpoint_url)}" if access.endpoint_url else ""
        raise PreflightError(
            f"profile {access.profile!r} of {access.source}: no client can be made{where} "
            f"({type(error).__name__}); endpoint_url, or AWS_ENDPOINT_URL, must be a URL that "
            "begins with http:// or https://, and the region one of the store's"
        ) from None


def _session(access: S3Access) -> boto3.Session:
    import boto3  # noqa: PLC0415
    from botocore.exceptions import BotoCoreError, ProfileNotFound  # noqa: PLC0415

    try:
        return boto3.Session(
            aws_access_key_id=access.access_key,
            aws_secret_access_key=access.secret_key,
            aws_session_token=access.session_token,
            region_name=access.region,
            profile_name=access.aws_profile,
        )
    except ProfileNotFound as error:
        raise PreflightError(
            f"profile {access.profile!r}: is not in the AWS configuration; add it to "
            "~/.aws/credentials, or name the credentials file with COSMOS_S3_PROFILE_PATH"
        ) from error
    except BotoCoreError as error:
        raise PreflightError(f"{access.source}: cannot be read: {type(error).__name__}") from error
