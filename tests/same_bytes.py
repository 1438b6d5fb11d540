"""What may differ between two runs of the same command on the same input; nothing else may."""

from __future__ import annotations

EXEMPT_PATTERNS = (
    "runs/*",
    ".work/*",
    "*/.work/*",
    "performance_stats_*.json",
    "profile/*",
    "summary.json.bak*",
)
"""Files (fnmatch patterns of paths below the output root) about the run, not about its result."""

EXEMPT_SUMMARY_FIELDS = ("pipeline_run_time", "num_input_videos_selected", "output_tokens_per_s")
"""Fields of ``summary.json`` that concern one run."""

EXEMPT_FAILURE_FIELDS = ("traceback",)
"""Fields of failure files that name lines of code, processes or scratch files."""
