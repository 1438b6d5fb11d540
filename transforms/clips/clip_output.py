"""Options of what is written; apart from the stage, so that ``--help`` needs no Beam."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import field_validator

from transforms.section import Section


class ClipOutput(Section):
    """What is written, and where."""

    title: ClassVar[str] = "Output"
    aliases: ClassVar[dict[str, str]] = {"upload_cvds_parquet": "upload_cds_parquet"}

    output_clip_path: str | None = None
    """Output root: clips, metadata, records and summary of ``split``."""
    output_s3_profile_name: str = "default"
    """Credentials profile for writing ``s3://`` outputs."""
    upload_clips: bool = True
    """Write the clips' mp4 files."""
    upload_clip_info_in_chunks: bool = False
    """Write one jsonl per chunk instead of one JSON per clip."""
    upload_clip_info_in_lance: bool = False
    """Write clip metadata as a Lance dataset."""
    upload_cds_parquet: bool = False
    """Write parquet files for Cosmos Dataset Search."""
    generate_cosmos_predict_dataset: Literal["disable", "predict2"] = "disable"
    """Write a dataset as Cosmos-Predict2 takes it: each captioned window as a video and a text; the
    embeddings of the texts are left to its own tools."""
    write_all_caption_json: bool = True
    """Write ``v0/all_window_captions.json`` when there are captions."""

    @field_validator("generate_cosmos_predict_dataset", mode="before")
    @classmethod
    def _accept_boolean(cls, value: object) -> object:
        # Upstream's version 2 made a boolean of this switch.
        if isinstance(value, bool):
            return "predict2" if value else "disable"
        return value

    def not_built(self) -> str | None:
        """Return which output was asked for that cannot be written yet."""
        if not self.upload_clips:
            return "upload_clips=false is not built yet; leave it at true"
        for name in (
            "upload_clip_info_in_chunks",
            "upload_clip_info_in_lance",
            "upload_cds_parquet",
        ):
            if getattr(self, name):
                return f"{name}=true is not built yet; one JSON per clip is written to metas/v0"
        return None
