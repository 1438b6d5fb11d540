"""Upstream's recording and replaying of single stages: the options; none of it is built."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import BeforeValidator

from transforms.section import Section, option


def _split_commas(value: object) -> object:
    """Return a list from ``a,b`` and from ``["a,b", "c"]``; anything else unchanged."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list | tuple):
        return value
    return [part for text in texts for part in str(text).split(",") if part]


Names = Annotated[tuple[str, ...], BeforeValidator(_split_commas)]


class StageReplay(Section):
    """Options of stage replay (contract §1.1)."""

    title: ClassVar[str] = "Stage replay"
    built: ClassVar[bool] = False

    stage_save: Names = option(())
    """Stages whose inputs are saved, separated by commas."""
    stage_save_sample_rate: float = option(0.0, ge=0, le=1)
    """Share of the inputs that is saved."""
    stage_replay: Names = option(())
    """One stage, or first and last, to run again on saved inputs."""
    stage_compare: Names = option(())
    """One stage, or first and last, whose results are compared with saved ones."""
    stage_compare_path: str | None = option(None)
    """Where the saved results lie."""
    stage_compare_atol: float = option(0.0, ge=0)
    """Largest difference that passes."""
    stage_compare_pass_threshold: float = option(1.0, ge=0, le=1)
    """Share of the results that must pass."""

    def not_built(self) -> str | None:
        """Return why stages cannot be saved, replayed or compared."""
        for name in ("stage_save", "stage_replay", "stage_compare"):
            if stages := getattr(self, name):
                return (
                    f"{name}={','.join(stages)}: stage replay is not built; leave the option out "
                    "(a run that is started again already skips finished work)."
                )
        return None
