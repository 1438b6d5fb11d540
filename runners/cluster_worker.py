"""A worker on a cluster: ``python -m runners.cluster_worker LOG_LEVEL``, run by ``worker_boot``.

The endpoints stand in its environment; everything else the runner's provision service tells.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import grpc
from apache_beam.portability.api import (
    beam_provision_api_pb2,
    beam_provision_api_pb2_grpc,
    endpoints_pb2,
)
from google.protobuf import json_format, text_format

from runners.local_worker import serve, set_up
from runners.worker_boot import STARTED_VARIABLE
from transforms.scratch import HERE_VARIABLE

_PROVISION_SECONDS = 60


def main(level: str) -> None:
    """Serve the runner until it closes the connection."""
    set_up(level)
    os.environ.update(_environment())
    Path(os.environ[STARTED_VARIABLE]).touch()
    serve(level)


def _environment() -> dict[str, str]:
    """Return what Beam's worker reads from its environment."""
    info = _provision_info()
    control = info.control_endpoint.url or os.environ["CONTROL_ENDPOINT"]
    logging = info.logging_endpoint.url or os.environ["LOGGING_ENDPOINT"]
    environment = {
        "PIPELINE_OPTIONS": json.dumps(json_format.MessageToDict(info.pipeline_options)),
        "CONTROL_API_SERVICE_DESCRIPTOR": _descriptor(control),
        "RUNNER_CAPABILITIES": " ".join(info.runner_capabilities),
        "SEMI_PERSISTENT_DIRECTORY": os.environ[HERE_VARIABLE],
    }
    if logging:
        environment["LOGGING_API_SERVICE_DESCRIPTOR"] = _descriptor(logging)
    if info.HasField("status_endpoint"):
        environment["STATUS_API_SERVICE_DESCRIPTOR"] = _descriptor(info.status_endpoint.url)
    return environment


def _provision_info() -> beam_provision_api_pb2.ProvisionInfo:
    with grpc.insecure_channel(os.environ["PROVISION_ENDPOINT"]) as channel:
        stub = beam_provision_api_pb2_grpc.ProvisionServiceStub(channel)
        request = beam_provision_api_pb2.GetProvisionInfoRequest()
        metadata = [("worker_id", os.environ["WORKER_ID"])]
        answer = stub.GetProvisionInfo(request, metadata=metadata, timeout=_PROVISION_SECONDS)
    return answer.info


def _descriptor(url: str) -> str:
    return text_format.MessageToString(endpoints_pb2.ApiServiceDescriptor(url=url))


if __name__ == "__main__":
    main(sys.argv[1])
