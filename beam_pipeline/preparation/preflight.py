"""What is checked before a run starts, each with what to do about it."""

from __future__ import annotations

import re
import uuid
from pathlib import Path

from beam_pipeline.configuration.config import (
    AnyConfig,
    CurateConfig,
    RecaptionConfig,
    ShardConfig,
    SplitConfig,
)
from transforms.errors import PreflightError, UsageError
from transforms.ingest.known_videos import find_inputs, has_known_videos
from transforms.ingest.list_videos import VideoInput, list_videos
from transforms.layout import METAS, annotation_lease_uri, lease_uri, summary_uri
from transforms.lease import raise_if_held
from transforms.machine_locks import lock_folder
from transforms.recaption.verify_annotations import annotation_versions
from transforms.run_context import FIRST_VERSION
from transforms.scratch import scratch_root
from transforms.storage.interface import StorageError
from transforms.storage.local import TEMPORARY_PREFIX
from transforms.storage.open_storage import storage_for
from transforms.storage.uris import absolute, is_inside, join, relative, scheme_of


def check_run(config: AnyConfig) -> None:
    """Check input, output and scratch before anything is written.

    Raises:
        UsageError: A location is missing, or lies inside another.
        PreflightError: A location cannot be read or written, or holds what it must not hold.
    """
    if isinstance(config, RecaptionConfig):
        _check_recaption(config)
        return
    if not isinstance(config, ShardConfig):
        if config.run.overwrite:
            _check_versions(absolute(str(config.output.output_clip_path)))
        check_input(config.input, _kept_output(config))
        output, source = str(config.output.output_clip_path), str(config.input.input_video_path)
        check_apart(source, output, names=("input_video_path", "output_clip_path"))
        check_scratch(config.run.scratch_path, source)
        if isinstance(config, CurateConfig):
            dataset = str(config.sharding.output_dataset_path)
            check_apart(source, dataset, names=("input_video_path", "output_dataset_path"))
        check_writable(output, name="output_clip_path")
    if not isinstance(config, SplitConfig):
        _check_dataset(config)


def _check_recaption(config: RecaptionConfig) -> None:
    clips = str(config.sharding.input_clip_path)
    check_split_output(clips, FIRST_VERSION)
    check_scratch(config.run.scratch_path, clips)
    check_writable(clips, name="input_clip_path")
    # What split is just making would be missing.
    raise_if_held(lease_uri(absolute(clips)))


def _check_versions(root: str) -> None:
    """Raise PreflightError when new captions are just being made of what would be removed."""
    for version in annotation_versions(root):
        raise_if_held(annotation_lease_uri(root, version))


def _check_dataset(config: ShardConfig | CurateConfig) -> None:
    sharding = config.sharding
    clips, dataset = str(sharding.input_clip_path), str(sharding.output_dataset_path)
    is_shard = isinstance(config, ShardConfig)
    clips_name = "input_clip_path" if is_shard else "output_clip_path"
    check_apart(clips, dataset, names=(clips_name, "output_dataset_path"))
    if is_shard:
        check_split_output(clips, sharding.annotation_version)
    check_dataset_root(dataset, sharding.annotation_version)
    check_writable(dataset, name="output_dataset_path")


def _kept_output(config: SplitConfig | CurateConfig) -> str | None:
    """Return the output whose records count; None when they are about to be removed."""
    return None if config.run.overwrite else absolute(str(config.output.output_clip_path))


def check_input(config: VideoInput, root: str | None = None) -> None:
    """Raise unless the input exists and holds something that may be a video.

    An input whose videos were deleted after earlier runs into ``root`` had taken them in will do.

    Args:
        config: The input.
        root: The output whose runs are gone on with; None: none are.

    Raises:
        UsageError: No input is given, a listed path lies outside it, or ``root`` holds records of
            another video under the same relative path.
        PreflightError: The input is missing, unreadable or empty.
    """
    if not config.input_video_path:
        raise UsageError("input_video_path is missing: give a folder of videos or one video file")
    uri = absolute(config.input_video_path)
    is_known = root is not None and has_known_videos(config, root)
    if not is_known:
        _check_there(uri, name="input_video_path", what="a folder of videos or one video file")
    try:
        listing = list_videos(config) if root is None else find_inputs(config, root).listing
    except StorageError as error:
        raise PreflightError(f"input: {error}; mend the list or the path") from error
    if listing.videos or is_known:
        return
    problems = "; ".join(f"{path} {reason}" for path, reason in listing.problems[:3])
    sidecars = f"; {listing.num_sidecars} files are no videos by their names"
    raise PreflightError(
        f"input_video_path={uri}: holds no video"
        + (sidecars if listing.num_sidecars else "")
        + (f"; {problems}" if problems else "")
        + "; give a folder that holds video files, or one video file"
    )


def check_apart(input_uri: str, output_uri: str, *, names: tuple[str, str]) -> None:
    """Raise UsageError when one of two locations lies inside the other (contract §1.3)."""
    one, other = absolute(input_uri), absolute(output_uri)
    if is_inside(one, other) or is_inside(other, one):
        raise UsageError(
            f"{names[1]}={other} and {names[0]}={one} lie one inside the other; "
            "choose folders side by side, or what is written to one is read from the other"
        )


def check_writable(output_uri: str, *, name: str) -> None:
    """Raise PreflightError unless a file can be written to and removed from a local output.

    Nothing is left behind: folders that this makes are removed again.
    """
    uri = absolute(output_uri)
    if scheme_of(uri):
        # Stores are checked by store_checks.
        return
    probe = join(uri, ".work", f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}")
    storage = storage_for(uri)
    if Path(uri).exists() and not Path(uri).is_dir():
        raise PreflightError(f"{name}={uri}: is a file, not a folder; give another path")
    try:
        with storage.new_folders(probe):
            storage.write(probe, b"x")
            storage.delete(probe)
    except StorageError as error:
        raise PreflightError(
            f"{name}={uri}: cannot be written to ({error}); mend that, or give another folder"
        ) from error


def check_split_output(input_uri: str, annotation_version: str) -> None:
    """Raise PreflightError unless clips of ``split`` lie there."""
    uri = absolute(input_uri)
    _check_there(uri, name="input_clip_path", what="the output_clip_path of a finished split")
    metas = storage_for(uri).list(join(uri, METAS, annotation_version))
    has_metas = next(iter(metas), None) is not None
    if not has_metas and not storage_for(uri).exists(summary_uri(uri)):
        raise PreflightError(
            f"input_clip_path={uri}: holds neither summary.json nor {METAS}/{annotation_version}, "
            "so it is no output of split; give the output_clip_path of a finished split"
        )
    if not has_metas and annotation_version != FIRST_VERSION:
        versions = ", ".join([FIRST_VERSION, *annotation_versions(uri)])
        raise PreflightError(
            f"annotation_version={annotation_version}: {uri} has no such version of its metadata "
            f"(it has {versions}); correct the name, or make it with recaption "
            f"--annotation_version {annotation_version}"
        )


def check_dataset_root(output_uri: str, annotation_version: str) -> None:
    """Raise PreflightError when the folder for the dataset holds anything but dataset versions.

    Whether a version that is there may be gone on with is told by its state (``check_dataset``).
    """
    uri = absolute(output_uri)
    version = rf"(v\d+|{re.escape(annotation_version)})"
    found = next(iter(storage_for(uri).list(uri)), None)
    # A run that was killed left unfinished tars in .work/staging.
    ours = rf"(\.work/(staging/)?)?{version}/"
    if found is not None and not re.match(ours, relative(found.uri, uri)):
        raise PreflightError(
            f"output_dataset_path={uri}: holds something else already, e.g. {found.uri}; "
            "give a new or an empty folder"
        )


def check_scratch(configured: str | None, input_uri: str) -> None:
    """Raise unless the folders for files in work are this user's own and outside the input.

    Raises:
        UsageError: Scratch lies inside the input.
        PreflightError: The folder for lock files cannot be used.
    """
    scratch = str(scratch_root(configured))
    if is_inside(scratch, absolute(input_uri)):
        raise UsageError(
            f"scratch_path={scratch} lies inside the input {absolute(input_uri)}; choose a folder "
            "beside it, or a run would read clips in work as videos"
        )
    lock_folder()


def _check_there(uri: str, *, name: str, what: str) -> None:
    if not scheme_of(uri) and not Path(uri).exists():
        raise PreflightError(f"{name}={uri}: no such file or folder; give {what}")
