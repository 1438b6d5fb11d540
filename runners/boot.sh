#!/bin/sh
# What a Flink TaskManager runs for each worker; all it does is find Python.
exec "${BEAM_CURATE_PYTHON:-python3}" -m runners.worker_boot "$@"
