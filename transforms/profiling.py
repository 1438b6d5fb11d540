"""Upstream's profilers: the options; none of them is built yet."""

from __future__ import annotations

from typing import ClassVar

from transforms.section import Section, option


class Profiling(Section):
    """Options of profiling (contract §1.1 Common). Beam's own are reached by ``--beam.NAME``."""

    title: ClassVar[str] = "Profiling"
    built: ClassVar[bool] = False

    profile_tracing: bool = option(False)
    """Whether OpenTelemetry spans are written."""
    profile_tracing_sampling: float = option(0.01, ge=0, le=1)
    """Share of the spans that is written."""
    profile_tracing_otlp_endpoint: str = option("")
    """Collector that spans are sent to."""
    profile_cpu: bool = option(False)
    """Whether processor time is profiled."""
    profile_memory: bool = option(False)
    """Whether memory is profiled."""
    profile_gpu: bool = option(False)
    """Whether GPUs are profiled."""
    profile_cpu_exclude: str = option("_root")
    """Stages whose processor time is not profiled, separated by commas."""
    profile_memory_exclude: str = option("_root")
    """Stages whose memory is not profiled, separated by commas."""
    profile_gpu_exclude: str = option("_root")
    """Stages whose GPU use is not profiled, separated by commas."""

    def not_built(self) -> str | None:
        """Return which profiler was asked for."""
        for name in ("profile_tracing", "profile_cpu", "profile_memory", "profile_gpu"):
            if getattr(self, name):
                return (
                    f"{name}=true: this profiler is not built yet; set {name}=false, or use "
                    f"Beam's own profiler: --beam.profile_cpu --profile_location=FOLDER."
                )
        return None
