"""Why something is not here, in few words."""

from __future__ import annotations

import re

from transforms.errors import PreflightError

_END = re.compile(r"; |: (?!does not |refuses |serves )")
"""What is to be done follows; what an endpoint does belongs to its address."""


def short_reason(error: PreflightError) -> str:
    """Return the first part of an error, without what to do about it.

    Example:
        >>> short_reason(PreflightError("weights of qwen are not here: looked in a folder"))
        'weights of qwen are not here'
        >>> short_reason(PreflightError("http://host/v1: does not answer (timeout); start it"))
        'http://host/v1: does not answer (timeout)'
    """
    return _END.split(str(error))[0]
