"""What a store of the S3 kind tells about an object, with its reason where it refuses to."""

from __future__ import annotations

from typing import Any

from transforms.storage.s3_errors import error_code, http_status

_BARE = frozenset({"400", "403"})


def head(client: Any, **where: str) -> dict[str, Any]:
    """Return the answer to HeadObject.

    Answers to HEAD have no body: whether the token has expired, the key is wrong, or this one
    object is forbidden, the store says 400 or 403 and no more. Then one byte is asked for, and
    what that is refused with is the reason.

    Args:
        client: The boto3 client.
        where: ``Bucket``, ``Key`` and conditions.

    Raises:
        ClientError: The store refuses; with its code where it tells one.
    """
    from botocore.exceptions import ClientError  # noqa: PLC0415

    try:
        return dict(client.head_object(**where))
    except ClientError as error:
        if error_code(error) not in _BARE:
            raise
        refused = error
    try:
        client.get_object(**where, Range="bytes=0-0")["Body"].close()
    except ClientError as reason:
        # An object that is empty or not there is no reason for what HEAD said.
        if http_status(reason) not in (404, 416):
            raise
    raise refused
