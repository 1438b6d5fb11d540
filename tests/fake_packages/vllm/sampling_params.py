"""Parameters of sampling: the fields of the newest version that was read."""

import dataclasses
import enum

from vllm.engine.arg_utils import _NEWEST

SamplingParams = dataclasses.make_dataclass(
    "SamplingParams",
    [
        (name, object, dataclasses.field(default=None))
        for name in _NEWEST["vllm.sampling_params.SamplingParams"]
    ],
)


class RequestOutputKind(enum.Enum):
    """When outputs are handed out."""

    CUMULATIVE = 0
    DELTA = 1
    FINAL_ONLY = 2
