"""One run of ``recaption``: its options stored, its graph, its ledger, its report."""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from collections.abc import Generator
from typing import Any

from beam_pipeline.configuration.config import RecaptionConfig, flat
from beam_pipeline.configuration.settled import updated
from beam_pipeline.models.captions import caption_definition, caption_settings, caption_writing
from beam_pipeline.preparation.overwrite import remove_annotations
from beam_pipeline.preparation.routes import routes_of
from beam_pipeline.preparation.run_place import RunPlace
from beam_pipeline.preparation.stored_options import RunOptions, store_options
from beam_pipeline.preparation.stored_windows import window_option
from beam_pipeline.report import FAILURES_SHOWN, caption_lines
from runners.interface import Build
from transforms.annotate.caption_settings import CaptionSettings
from transforms.clips.fingerprints import fingerprint
from transforms.json_files import read_json
from transforms.layout import FAILURES, annotations_uri
from transforms.media.child_limits import ChildLimits
from transforms.media.look_settings import LookSettings
from transforms.media.slots import num_slots
from transforms.recaption.annotation_files import quality_uri
from transforms.recaption.ledger import (
    AnnotationLedger,
    failure_reasons,
    raise_if_missing,
    read_annotation_ledger,
)
from transforms.recaption.list_clips import summary_uri
from transforms.recaption.settings import RecaptionSettings
from transforms.run_context import RunContext
from transforms.storage.open_storage import storage_for
from transforms.storage.plain_names import one_line
from transforms.storage.uris import absolute


class PreparedRecaption:
    """One run, checked and resolved."""

    def __init__(self, config: RecaptionConfig, place: RunPlace) -> None:
        """Resolve the options.

        Raises:
            UsageError: The prompt cannot be used.
            PreflightError: The engine is not there or does not answer.
        """
        self._config = config = with_stored_windows(config)
        self._captions = _caption_settings(config)
        self.progress_folder = place.progress_folder
        self._ledger = AnnotationLedger()
        self._context = RunContext(
            root=absolute(str(config.sharding.input_clip_path)),
            run_id=place.run_id,
            scratch=str(place.scratch),
            progress_folder=place.progress_folder,
            stages=(("captions", fingerprint(_definition(config, self._captions))),),
            spans_fingerprint="",
            retry_failed=config.run.retry_failed,
            annotation_version=config.sharding.annotation_version,
            captioning_algorithm=config.caption_model.captioning_algorithm,
            caption_writing=caption_writing(config, self._captions),
            routes=routes_of(config),
        )
        self._settings = RecaptionSettings(
            look=look_settings(config, self._captions),
            num_children=math.ceil(num_slots() / (place.workers or 1)),
            limits=ChildLimits(
                config.execution.child_memory_limit_mb, config.execution.child_silence_limit_s
            ),
            limit=config.input.limit,
            all_captions=config.output.write_all_caption_json,
        )

    def store(self) -> None:
        """Store the options of the version, before any work."""
        root, version = self._context.root, self._context.annotation_version
        if self._config.run.overwrite:
            remove_annotations(root, version)
        options = RunOptions("recaption", flat(self._config), {}, dict(self._context.stages))
        store_options(
            root,
            options,
            accept_changes=self._config.run.accept_changes,
            uri=annotations_uri(root, version, "options.json"),
        )
        if self._config.run.retry_failed:
            folder = annotations_uri(root, version, FAILURES)
            uris = [stat.uri for stat in storage_for(folder).list(folder)]
            if uris:
                storage_for(root).delete(summary_uri(root, version))
                storage_for(folder).delete_many(uris)

    def kept_children(self) -> contextlib.AbstractContextManager[None]:
        """Keep no children: nothing looks ahead."""
        return contextlib.nullcontext()

    def predict(self) -> None:
        """Predict nothing: how long a model takes is not known."""

    def graphs(self) -> Generator[Build, None, None]:
        """Yield what builds the one graph."""
        yield self.build

    def build(self, root: Any) -> None:
        """Attach the graph."""
        from beam_pipeline import pipelines  # noqa: PLC0415 - imports Beam

        pipelines.recaption(root, self._context, self._settings, self._captions)

    def verify(self) -> AnnotationLedger:
        """Return the ledger of the version, from files: a runner's DONE is no proof.

        Raises:
            LedgerError: A clip is neither committed nor failed.
        """
        root, version = self._context.root, self._context.annotation_version
        self._ledger = read_annotation_ledger(root, version, self._settings.limit)
        raise_if_missing(self._ledger, version)
        return self._ledger

    def report(self, totals: dict[str, float], seconds: float) -> None:
        """Say what was made and where."""
        root, version = self._context.root, self._context.annotation_version
        ledger, summary = self._ledger, read_json(summary_uri(root, version))
        made, failed = len(ledger.committed), len(ledger.failed)
        worked = bool(totals.get("clips_annotated") or totals.get("failures"))
        lines = [
            f"clips     {made} annotated, {failed} failed; "
            f"{int(totals.get('clips_annotated', 0))} in this run",
            f"captions  {summary['num_caption_windows']} windows of "
            f"{summary['num_clips_with_caption']} clips, {summary['total_output_tokens']} tokens",
            f"version   {version} of {root}",
        ]
        lines += caption_lines(totals, seconds)
        lines += _error_lines(root, version) + _failure_lines(root, version, ledger)
        what = "finished" if worked else "nothing was left to do"
        print(f"beam-curate recaption: {what} ({seconds:.0f} s)")
        print("\n".join(f"  {line}" for line in lines))


def plan_lines(config: RecaptionConfig) -> list[str]:
    """Return what a run would do."""
    root, version = absolute(str(config.sharding.input_clip_path)), _version(config)
    ledger = read_annotation_ledger(root, version, config.input.limit)
    return [
        f"  input       {root}",
        f"  version     {version}",
        f"  done        {len(ledger.committed)} clips, {len(ledger.failed)} failed before",
        f"  to do       {len(ledger.missing)} clips",
        "  time        not predicted: it is the model's",
    ]


def with_stored_windows(config: RecaptionConfig) -> RecaptionConfig:
    """Return the configuration with the windows that the clips were made with, unless others are
    asked for."""
    root = absolute(str(config.sharding.input_clip_path))
    windows = updated(
        config.windows,
        captioning_window_size=window_option(config, root, "captioning_window_size"),
        captioning_remainder_threshold=window_option(
            config, root, "captioning_remainder_threshold"
        ),
    )
    return config.model_copy(update={"windows": windows})


def look_settings(config: RecaptionConfig, captions: CaptionSettings) -> LookSettings:
    """Return what the look finds out about each clip: its windows, and the frames to be seen."""
    windows = config.windows
    return LookSettings(
        window_size=windows.captioning_window_size,
        remainder_threshold=windows.captioning_remainder_threshold,
        caption_fps=captions.frames_fps,
    )


def _version(config: RecaptionConfig) -> str:
    return config.sharding.annotation_version


def _caption_settings(config: RecaptionConfig) -> CaptionSettings:
    captions = caption_settings(config)
    # They are always on here.
    assert captions is not None
    return captions


def _definition(config: RecaptionConfig, captions: CaptionSettings) -> dict[str, Any]:
    windows = config.windows
    return {
        **caption_definition(config, captions),
        "window_size": windows.captioning_window_size,
        "remainder_threshold": windows.captioning_remainder_threshold,
    }


def _error_lines(root: str, version: str) -> list[str]:
    """Return a line about windows that were asked about and have no caption, if there are any."""
    counts = read_json(quality_uri(root, version))["caption_status_counts"]
    without = {status: counts[status] for status in ("error", "blocked") if counts[status]}
    if not without:
        return []
    told = ", ".join(f"{number} {status}" for status, number in without.items())
    return [f"without   {told}: caption_failure_message says why; --retry_failed asks again"]


def _failure_lines(root: str, version: str, ledger: AnnotationLedger) -> list[str]:
    """Return where failures are told, and one line per reason with one message."""
    if not ledger.failed:
        return []
    found = sorted(failure_reasons(root, version, ledger.failed))
    counts = Counter(reason for reason, _ in found)
    folder = annotations_uri(root, version, FAILURES)
    lines = [f"failures  {folder} ({len(found)}); --retry_failed tries again"]
    for reason, number in counts.most_common(FAILURES_SHOWN):
        message = next(text for other, text in found if other == reason)
        lines.append(f"          {reason} ({number}): {one_line(message)}")
    return lines
