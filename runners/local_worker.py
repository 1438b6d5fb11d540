"""A worker process of a local run: ``python -m runners.local_worker LOG_LEVEL``.

Beam's own worker logs every step of its life, and each record twice: to its standard error and
through the driver. Here it shows what this program has to say, once.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from typing import Any

from runners.logs import configure_logging
from runners.quiet_stderr import WithoutTracebacks
from transforms.progress import flush_counts

DRIVER_VARIABLE = "BEAM_CURATE_DRIVER"
"""Names the process that a worker serves."""
_LOOK_SECONDS = 0.5


def main(level: str) -> None:
    """Serve the driver until it closes the connection."""
    set_up(level)
    # Without this address, records are not sent to the driver, which would print them again.
    os.environ.pop("LOGGING_API_SERVICE_DESCRIPTOR", None)
    serve(level)


def set_up(level: str) -> None:
    """Make this process a worker: it logs at this level, and ends with what started it."""
    # Ctrl-C on a terminal reaches the whole group. It is for the driver, which ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _follow_driver()
    number = logging.getLevelName(level)
    # Beam sets the root logger to INFO; the handler's level stays.
    configure_logging(number).setLevel(number)


def serve(level: str) -> None:
    """Do what the runner asks until it closes the connection."""
    import grpc  # noqa: PLC0415 - as slow as the next
    from apache_beam.runners.worker import sdk_worker_main  # noqa: PLC0415 - it logs when imported

    number = logging.getLevelName(level)
    if number > logging.DEBUG:
        sys.stderr = WithoutTracebacks(sys.stderr)
    for package in ("transforms", "runners"):
        logging.getLogger(package).setLevel(number)
    count_at_bundle_ends()
    try:
        sdk_worker_main.main([])
    except grpc.RpcError:
        # The connection broke: the driver is gone. Python would wait for threads that have seconds
        # of work left, and the next run into this output may have begun.
        os._exit(1)


def count_at_bundle_ends() -> None:
    """Write what a bundle counted before the runner hears of its end.

    The run reads the counters when it has heard of the last one, and its workers are killed then.
    """
    from apache_beam.runners.worker import sdk_worker  # noqa: PLC0415 - as above

    process_bundle = sdk_worker.SdkWorker.process_bundle

    def counted(worker: Any, request: Any, instruction_id: str) -> Any:
        response = process_bundle(worker, request, instruction_id)
        flush_counts()
        return response

    sdk_worker.SdkWorker.process_bundle = counted  # type: ignore[method-assign, assignment]


def _follow_driver() -> None:
    """End this process when the driver is gone: Beam's worker would wait for it for ever.

    Its children end by themselves, when their standard input is closed.
    """
    driver = os.environ.get(DRIVER_VARIABLE)
    if driver is None:
        return

    def watch() -> None:
        while os.getppid() == int(driver):
            time.sleep(_LOOK_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, name="follow_driver", daemon=True).start()


if __name__ == "__main__":
    main(sys.argv[1])
