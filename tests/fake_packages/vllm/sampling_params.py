"""Parameters of sampling: the fields of the newest version that was read."""

import dataclasses
import enum

from vllm.engine.arg_utils import _NEWEST


def _class(name: str) -> type:
    fields = [
        (field, object, dataclasses.field(default=None))
        for field in _NEWEST[f"vllm.sampling_params.{name}"]
        if not field.startswith("_")
    ]
    return dataclasses.make_dataclass(name, fields)


SamplingParams = _class("SamplingParams")
StructuredOutputsParams = _class("StructuredOutputsParams")


class RequestOutputKind(enum.Enum):
    """When outputs are handed out."""

    CUMULATIVE = 0
    DELTA = 1
    FINAL_ONLY = 2
