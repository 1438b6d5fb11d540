"""Input and output as zip archives behind presigned URLs: the options; it is not built yet."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import SecretStr, field_serializer

from transforms.section import Section, option


class PresignedUrls(Section):
    """Options of upstream's HTTP service (contract §6.6). The URLs are secrets: never printed."""

    title: ClassVar[str] = "Presigned URLs"
    built: ClassVar[bool] = False

    input_presigned_s3_url: SecretStr | None = option(None)
    """Zip archive of input videos."""
    output_presigned_s3_url: SecretStr | None = option(None)
    """Where a zip archive of the output is sent."""
    output_presigned_multipart: dict[str, Any] | None = option(None, repr=False)
    """Where it is sent in parts: uploadId, key, parts."""

    @field_serializer("output_presigned_multipart")
    def _hide_multipart(self, value: dict[str, Any] | None) -> str | None:
        return "**********" if value else None

    def not_built(self) -> str | None:
        """Return which presigned URL was given, without the URL."""
        for name in type(self).model_fields:
            if getattr(self, name):
                return (
                    f"{name}: presigned URLs are not built yet; use input_video_path and "
                    "output_clip_path."
                )
        return None
