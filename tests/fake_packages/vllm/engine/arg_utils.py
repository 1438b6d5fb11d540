"""Arguments of the engine: the fields of the newest version that was read."""

import dataclasses
import json
from pathlib import Path

_RECORD = Path(__file__).parents[3] / "data" / "vllm_signatures.json"
_NEWEST = list(json.loads(_RECORD.read_text()).values())[-1]

AsyncEngineArgs = dataclasses.make_dataclass(
    "AsyncEngineArgs",
    [
        (name, object, dataclasses.field(default=None))
        for name in _NEWEST["vllm.engine.arg_utils.AsyncEngineArgs"]
    ],
)
