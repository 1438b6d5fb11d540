"""Options of Beam's Flink runner that only its job server, a Java program, knows by itself.

Declared here they can be given on the command line like any option of Beam.
"""

from __future__ import annotations

import argparse
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions


class FlinkJobOptions(PipelineOptions):
    """What may be set for a job."""

    @classmethod
    def _add_argparse_args(cls, parser: Any) -> None:
        # No defaults: what nobody gave is the job server's to decide.
        for name, kind, text in (
            ("number_of_execution_retries", int, "how often a job that failed is tried again"),
            ("execution_retry_delay", int, "milliseconds before a job is tried again"),
            ("execution_mode_for_batch", str, "PIPELINED (all stages at once) or BATCH"),
        ):
            parser.add_argument(f"--{name}", type=kind, help=text, default=argparse.SUPPRESS)
