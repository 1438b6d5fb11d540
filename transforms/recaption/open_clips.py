"""From ids to clips: what is done passes no further, what cannot be read has failed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import apache_beam as beam

from transforms.errors import MediaError
from transforms.json_files import read_json_if_there
from transforms.layout import meta_uri
from transforms.models.captions.engine import CAPTIONED
from transforms.progress import count
from transforms.recaption.first_meta import read_first_meta, source_of
from transforms.recaption.list_clips import Batch, is_committed
from transforms.records import Clip, Failure
from transforms.run_context import RunContext
from transforms.shards.samples import is_kept
from transforms.storage.ahead import read_ahead
from transforms.storage.plain_names import is_plain_name

SHA256, NUM_BYTES = "sha256", "num_bytes"
"""Names of the notes that say what the clip's mp4 must be."""


@dataclass
class OpenClips(beam.PTransform):
    """Read what ``split`` wrote of clips.

    Input: batches of ids. Output: one clip for each id that has no metadata of the version yet:
    pending, or failed when its metadata of v0 cannot be used. Rejected clips are left out.
    """

    context: RunContext

    def expand(self, batches: beam.PCollection[Batch]) -> beam.PCollection[Clip]:
        """Attach the step."""
        return batches | beam.FlatMap(open_clips, self.context).with_output_types(Clip)


def open_clips(batch: Batch, context: RunContext) -> Iterator[Clip]:
    """Yield the clips of a batch that are to be captioned, or have failed."""
    read = read_ahead(lambda clip_id: open_clip(clip_id, context), batch, context.root)
    for clip in read:
        if clip is None:
            count(context.progress_folder, clips_left_out=1)
        else:
            yield clip


def open_clip(clip_id: str, context: RunContext) -> Clip | None:
    """Return a clip to caption, None when it is done or no filter kept it."""
    if is_plain_name(clip_id) and _is_done(clip_id, context):
        return None
    clip = Clip(clip_id=clip_id, plan_uri="", rel="", clip_index=0, chunk_index=0)
    try:
        meta = read_first_meta(context.root, clip_id)
        source = source_of(meta)
    except MediaError as error:
        return clip.failed(Failure("read", error.reason, error.message))
    if not is_kept(meta):
        return None
    notes = tuple((name, str(meta[name])) for name in (SHA256, NUM_BYTES) if meta.get(name))
    return clip.updated(rel=str(meta["source_video"]), source=source, notes=notes)


def _is_done(clip_id: str, context: RunContext) -> bool:
    version = context.annotation_version
    if not context.retry_failed:
        return is_committed(context.root, version, clip_id)
    meta = read_json_if_there(meta_uri(context.root, clip_id, version))
    return meta is not None and all(
        window.get("caption_status") in CAPTIONED for window in meta["windows"]
    )
