"""What a store of the S3 kind refuses, as errors that name bucket, profile and cure.

Never the text of a request: that may hold keys, tokens or a signature.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from transforms.errors import CurateError
from transforms.storage.endpoints import shown_endpoint
from transforms.storage.interface import NotFoundError, StorageError, StoreAwayError
from transforms.storage.uris import bucket_and_key

if TYPE_CHECKING:
    from botocore.exceptions import BotoCoreError, ClientError

_CURES = {
    "InvalidAccessKeyId": "the store does not know the access key; mend the profile's credentials",
    "SignatureDoesNotMatch": "the secret key is wrong; mend the profile's credentials",
    "ExpiredToken": "the session token has expired; get new credentials",
    "InvalidToken": "the session token is wrong; get new credentials",
    "TokenRefreshRequired": "the session token has expired; get new credentials",
    "RequestTimeTooSkewed": "this machine's clock is wrong; set it",
    "NoSuchBucket": "there is no such bucket; mend the name, or make it",
    "InvalidBucketName": "that is no name of a bucket; mend it",
    "AccessDenied": "the profile may not do this; give it the rights of docs/object-stores.md",
    "403": "the profile may not do this, or its keys are wrong; see docs/object-stores.md",
    "AuthorizationHeaderMalformed": "the region is wrong; set the profile's region",
    "PermanentRedirect": "the bucket is in another region; set the profile's region",
    "IllegalLocationConstraintException": "the region is wrong; set the profile's region",
    "301": "the bucket is in another region; set the profile's region",
    "400": "the store does not say why; are credentials and region right, has the token expired?",
    "SlowDown": "the store asks for fewer requests; run again later, or with fewer workers",
    "NotImplemented": "the store cannot do this; see docs/object-stores.md for what is needed",
    "KMS.DisabledException": "the bucket's encryption key is disabled",
}
_TROUBLE = "the store has trouble; run again later"
_REFUSES = "the store refuses"
_WHAT = {
    "NoCredentialsError": "there are no credentials; see docs/object-stores.md",
    "PartialCredentialsError": "the credentials lack a key; see docs/object-stores.md",
    "TokenRetrievalError": "the login has expired; log in again",
    "UnauthorizedSSOTokenError": "the login has expired; log in again",
    "EndpointConnectionError": "nothing answers there; is the endpoint right, the store running?",
    "ConnectTimeoutError": "nothing answers there; is the endpoint right, the store running?",
    "ProxyConnectionError": "the proxy does not answer; is HTTPS_PROXY right?",
    "SSLError": "the store's certificate is not accepted; set AWS_CA_BUNDLE for your own authority",
    "ReadTimeoutError": "the store was silent for too long",
}
_AWAY = frozenset(
    {
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "ExpiredToken",
        "InvalidToken",
        "TokenRefreshRequired",
        "RequestTimeTooSkewed",
        "NoSuchBucket",
        "SlowDown",
        "InternalError",
        "ServiceUnavailable",
    }
)
"""Codes that say nothing about one object: they would be the answer to any request."""
_NOT_FOUND = frozenset({"NoSuchKey", "404", "NotFound"})


@contextlib.contextmanager
def named_errors(uri: str, *, profile: str, endpoint: str) -> Iterator[None]:
    """Turn errors of boto3 inside the context into storage errors about ``uri``.

    Args:
        uri: What was to be read or written.
        profile: Name of the profile.
        endpoint: Address of the store.

    Raises:
        NotFoundError: There is no such object.
        StoreAwayError: The store cannot be reached, or would refuse anything.
        StorageError: The store refuses this.
    """
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415
    from urllib3.exceptions import HTTPError  # noqa: PLC0415

    shown = shown_endpoint(endpoint)
    place = f"{uri} (bucket {bucket_and_key(uri)[0]}, profile {profile}, {shown})"
    try:
        yield
    except ClientError as error:
        raise _refusal(place, error) from None
    except BotoCoreError as error:
        raise _broken(place, error) from None
    except HTTPError as error:
        # Bodies of refusals that break off come as they are.
        name = type(error).__name__
        raise StoreAwayError(f"{place}: the connection failed ({name}); run again") from None


@contextlib.contextmanager
def file_errors(what: str) -> Iterator[None]:
    """Raise what local files refuse inside the context as a StorageError that begins with this."""
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415

    try:
        yield
    except OSError as error:
        # Some of boto3's own are OSErrors too: a read that takes too long, for one.
        if isinstance(error, BotoCoreError):
            raise
        raise StorageError(f"{what}: {error.strerror or error}") from error


def error_code(error: ClientError) -> str:
    """Return the store's code, for example ``NoSuchKey``; an HTTP status where it gave none."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    return code or str(http_status(error))


def refused_delete(place: str, code: str) -> CurateError:
    """Return the error for objects that a store has not deleted, with this code for the first."""
    is_away = code in _AWAY
    cure = _CURES.get(code, _TROUBLE if is_away else _REFUSES)
    message = f"{place}: cannot be deleted: {code}: {cure}"
    return StoreAwayError(message) if is_away else StorageError(message)


def http_status(error: ClientError) -> int:
    """Return the HTTP status of a refusal, 0 when there is none."""
    metadata: dict[str, Any] = dict(error.response.get("ResponseMetadata", {}))
    return int(metadata.get("HTTPStatusCode", 0))


def _refusal(place: str, error: ClientError) -> CurateError:
    code, status = error_code(error), http_status(error)
    if code in _NOT_FOUND:
        return NotFoundError(f"{place}: no such object")
    default = _TROUBLE if status >= 500 else _REFUSES
    # Other codes of HTTP 400 say more than its cure does.
    cure = _CURES.get(code) or (default if status == 400 else _CURES.get(str(status), default))
    message = f"{place}: {error.operation_name}: HTTP {status} {code}: {cure}"
    # Without a body nothing says that it is about this object: see s3_head.
    is_bare = code == "400" and error.operation_name == "HeadObject"
    is_away = is_bare or code in _AWAY or status in (301, 429) or status >= 500
    return StoreAwayError(message) if is_away else StorageError(message)


def _broken(place: str, error: BotoCoreError) -> CurateError:
    names = [kind.__name__ for kind in type(error).__mro__]
    if "ParamValidationError" in names:
        return StorageError(f"{place}: that is no name of a bucket or key; mend it")
    text = next((_WHAT[name] for name in names if name in _WHAT), None)
    default = f"the connection failed ({names[0]}); run again"
    return StoreAwayError(f"{place}: {text or default}")
