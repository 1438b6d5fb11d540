"""A run whose input comes from, or whose output goes to, a zip archive behind a presigned URL.

The run in between knows only folders. An archive is unpacked into, and packed in, a scratch folder
that is removed at the end.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from beam_pipeline.configuration.config import AnyConfig, CurateConfig, SplitConfig
from beam_pipeline.configuration.settled import complete, updated
from transforms.archives.download import download
from transforms.archives.pack import Tree, pack
from transforms.archives.presigned_url import check_url, shown_url
from transforms.archives.send import send, send_parts
from transforms.archives.unpack import unpack
from transforms.archives.zip_limits import BadArchiveError
from transforms.errors import PreflightError, UsageError
from transforms.ingest.presigned import PresignedUrls
from transforms.scratch import archive_folder_name, new_run_id, run_scratch
from transforms.section import Section
from transforms.storage.interface import StorageError, StoreAwayError
from transforms.storage.uris import absolute

_INPUT, _OUTPUT = "input_presigned_s3_url", "output_presigned_s3_url"
_PARTS = "output_presigned_multipart"
_DATASET_PREFIX = "webdataset/"


def run_with_archives(
    config: SplitConfig | CurateConfig,
    run: Callable[[AnyConfig], int],
    *,
    sends_output: bool = True,
) -> int:
    """Unpack the input, run, send the output; return the exit status of the run.

    An output is sent whenever the run came to its end, also one with too many failed videos: what
    failed and why is told in it.

    Args:
        config: The options, with a presigned URL.
        run: Runs options whose input and output are folders or objects, and returns the status.
        sends_output: False for a run that makes nothing.

    Raises:
        UsageError: The options contradict each other, or are no URLs.
        PreflightError: A URL has expired, the input cannot be fetched or unpacked, or the output
            cannot be sent and is lost with the scratch folder.
        StorageError: The output cannot be sent, and lies in ``output_clip_path``.
    """
    for name, url in _urls(config.presigned):
        check_url(url, name=name)
    with run_scratch(config.run.scratch_path, _scratch_name(config)) as scratch:
        local = _with_folders(config, scratch)
        status = run(local)
        if sends_output and config.presigned.has_output:
            is_kept = config.output.output_clip_path is not None
            _send_output(local, scratch / "output.zip", is_kept=is_kept)
    return status


def _scratch_name(config: SplitConfig | CurateConfig) -> str:
    """Return the name of the run's scratch folder for archives.

    Where an output is gone on with, the videos must lie where they lay: plans name their paths.
    """
    url, output = config.presigned.input_url, config.output.output_clip_path
    if url is None or output is None:
        return new_run_id()
    return archive_folder_name(shown_url(url), absolute(output))


def _urls(presigned: PresignedUrls) -> Iterator[tuple[str, str]]:
    if presigned.input_url:
        yield _INPUT, presigned.input_url
    if presigned.output_url:
        yield _OUTPUT, presigned.output_url
    if presigned.has_parts:
        if presigned.part_urls is None:
            raise UsageError(
                f'{_PARTS}: must be a JSON object {{"uploadId", "key", "parts"}}, where parts is a '
                "list of presigned URLs"
            )
        for number, url in enumerate(presigned.part_urls, 1):
            yield f"{_PARTS} part {number}", url


def _with_folders(config: SplitConfig | CurateConfig, scratch: Path) -> SplitConfig | CurateConfig:
    """Return the options with folders in place of URLs."""
    changed: dict[str, Section] = {}
    if url := config.presigned.input_url:
        _check_alone(config)
        changed["input"] = updated(
            config.input,
            input_video_path=str(_fetched(url, scratch)),
            # The folder is another one for each output, the ids must not be.
            id_root=config.input.id_root or shown_url(url),
        )
    if config.output.output_clip_path is None:
        changed["output"] = updated(config.output, output_clip_path=str(scratch / "output"))
    completed = complete(config.model_copy(update=changed))
    assert isinstance(completed, SplitConfig | CurateConfig)
    return completed


def _check_alone(config: SplitConfig | CurateConfig) -> None:
    if config.input.input_video_list_json_path:
        raise UsageError(
            f"input_video_list_json_path and {_INPUT} exclude each other: pack only the videos "
            "that are wanted"
        )
    if config.input.input_video_path:
        print(
            f"Warning: input_video_path is not read: {_INPUT} is given in its place",
            file=sys.stderr,
        )


def _fetched(url: str, scratch: Path) -> Path:
    """Return the folder with what the archive holds."""
    archive, folder = scratch / "input.zip", scratch / "input"
    shown = f"{_INPUT}={shown_url(url)}"
    print(f"{shown}: downloading", file=sys.stderr)
    try:
        num_bytes = download(url, archive, what=_INPUT)
        num_files = unpack(archive, folder)
    except BadArchiveError as error:
        raise PreflightError(f"{shown}: {error}; mend the archive") from error
    except StorageError as error:
        raise PreflightError(str(error)) from None
    archive.unlink()
    print(f"{shown}: {num_files} files from {num_bytes} bytes", file=sys.stderr)
    return folder


def _send_output(config: SplitConfig | CurateConfig, archive: Path, *, is_kept: bool) -> None:
    presigned = config.presigned
    trees = [Tree(str(config.output.output_clip_path))]
    if isinstance(config, CurateConfig):
        trees.append(Tree(str(config.sharding.output_dataset_path), _DATASET_PREFIX))
    try:
        num_files = pack(trees, archive)
        num_bytes = archive.stat().st_size
        if presigned.part_urls is not None:
            num_parts = send_parts(archive, presigned.part_urls, what=_PARTS)
            where = f"{shown_url(presigned.part_urls[0])} in {num_parts} parts"
        else:
            send(archive, str(presigned.output_url), what=_OUTPUT)
            where = shown_url(str(presigned.output_url))
    except (StorageError, StoreAwayError) as error:
        if is_kept:
            raise
        raise PreflightError(
            f"{error}. The output is gone with the scratch folder; give output_clip_path as well "
            "and it stays for another attempt"
        ) from None
    print(f"  sent        {num_files} files, {num_bytes} bytes, to {where}")
