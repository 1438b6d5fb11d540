"""One output with one planned clip, and what several writers have made of that clip."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from records_for_tests import make_facts

from transforms.clips.chunk_tally import ChunkTally, commit_chunk
from transforms.clips.clip_metadata import clip_metadata
from transforms.clips.clip_state import read_clip_state
from transforms.clips.commit_clip import commit_clip, settle_committed
from transforms.clips.plan import Plan
from transforms.json_files import create_json
from transforms.layout import clip_uri, meta_uri, previews_uri
from transforms.media.clip_files import clip_path, preview_folder
from transforms.records import Clip, ClipFile, Rejection, Span, Video, Window
from transforms.run_context import RunContext
from transforms.storage.open_storage import storage_for

CLIP = "6c1f5d3e-0000-5000-8000-000000000001"
REL = "a.mp4"


@dataclass(frozen=True)
class Made:
    """What one writer has made of the clip."""

    content: bytes
    is_rejected: bool = False
    previews: tuple[tuple[str, bytes], ...] = ()


class World:
    """One output with one planned clip; each writer has a scratch folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "out"
        self.context = RunContext(
            root=str(self.root),
            run_id="run",
            scratch=str(folder / "scratch"),
            progress_folder=str(folder / "progress"),
            stages=(("cut", "1"), ("motion_filter", "1"), ("previews", "1")),
            spans_fingerprint="1",
        )
        span = Span(CLIP, 0.0, 2.0, Fraction(0), Fraction(2))
        video = Video(uri="/raw/a.mp4", rel=REL, source_id="/raw/a.mp4", num_bytes=1)
        self.plan = Plan(video, make_facts(), "identity", (span,), ((0, 1),), ((0, 1),), (), "1")
        self._num_scratch = 0

    def clip(self, made: Made, **changes: Any) -> Clip:
        """Return the clip as the cut hands it on, its files in a new scratch folder."""
        self._num_scratch += 1
        scratch = self.folder / "scratch" / f"worker-{self._num_scratch}"
        path = clip_path(scratch, CLIP)
        path.parent.mkdir(parents=True)
        path.write_bytes(made.content)
        for name, content in made.previews:
            preview_folder(scratch, CLIP).mkdir(exist_ok=True)
            (preview_folder(scratch, CLIP) / name).write_bytes(content)
        digest = hashlib.sha256(made.content).hexdigest()
        size = len(made.content)
        windows = (Window(0, 50, size),)
        file = ClipFile(size, digest, 64, 64, 25.0, 50, "h264", (0, 50), "encode", windows)
        clip = Clip(
            clip_id=CLIP,
            plan_uri="",
            rel=REL,
            clip_index=0,
            chunk_index=0,
            file=file,
            scratch=str(scratch),
            preview_names=tuple(name for name, _ in made.previews),
        )
        if made.is_rejected:
            clip = clip.rejected(Rejection("motion", 0.0, 1.0))
        return clip.updated(**changes)

    def leave(self, made: Made, *, meta: bool = False, damaged: bool = False) -> None:
        """Leave what a killed writer left, or with ``meta`` a commit, perhaps damaged since."""
        clip = self.clip(made)
        uri = clip_uri(str(self.root), CLIP, rejected=made.is_rejected)
        storage_for(uri).write(uri, made.content[:-3] if damaged else made.content)
        for name, content in made.previews:
            uri = previews_uri(str(self.root), CLIP, name)
            storage_for(uri).write(uri, content)
        if meta:
            context = replace(self.context, stages=(("cut", "1"),))
            create_json(meta_uri(str(self.root), CLIP), clip_metadata(clip, self.plan, context))

    def commit(self, clip: Clip) -> dict[str, Any]:
        return commit_clip(clip, self.plan, self.context)

    def commit_all(self, clip: Clip) -> None:
        """Commit the clip and its chunk, as WriteClips does."""
        commit_chunk(ChunkTally(self.plan, 0, metas=[self.commit(clip)]), self.context)

    def resume(self, made: Made) -> None:
        """Do what the next run does with a chunk without a record."""
        clip = Clip(clip_id=CLIP, plan_uri="", rel=REL, clip_index=0, chunk_index=0)
        state = read_clip_state(clip, self.context, has_record=False)
        if state.clip.outcome == "committed":
            settle_committed(CLIP, self.context)
        elif state.clip.redone:
            self.commit(self.clip(made, redone=True))
        else:
            self.commit(self.clip(made))

    def problems(self) -> list[str]:
        """Return what does not agree, told by the standard library alone."""
        meta = json.loads((self.root / "metas" / "v0" / f"{CLIP}.json").read_text())
        folders = ["clips", "filtered_clips"]
        if "rejection" in meta:
            folders.reverse()
        here, other = (self.root / folder / f"{CLIP}.mp4" for folder in folders)
        found = [] if meta["clip_location"] == str(here) else ["location"]
        if not here.exists():
            found.append("no mp4")
        elif hashlib.sha256(here.read_bytes()).hexdigest() != meta["sha256"]:
            found.append("other mp4")
        if other.exists():
            found.append("mp4 in both folders")
        previews = {path.name for path in (self.root / "previews").rglob("*") if path.is_file()}
        if previews != set(meta.get("previews", ())):
            found.append(f"previews {previews}")
        return found

    def previews(self) -> set[tuple[str, bytes]]:
        """Return name and content of each preview."""
        folder = self.root / "previews" / CLIP
        return {(path.name, path.read_bytes()) for path in folder.glob("*")}

    def standing(self, writers: tuple[Made, ...]) -> list[Made]:
        """Return the writers whose clip it is that stands."""
        meta = json.loads((self.root / "metas" / "v0" / f"{CLIP}.json").read_text())
        return [
            made
            for made in writers
            if hashlib.sha256(made.content).hexdigest() == meta["sha256"]
            and made.is_rejected == ("rejection" in meta)
            and {name for name, _ in made.previews} == set(meta.get("previews", ()))
        ]
