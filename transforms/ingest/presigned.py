"""Input and output as zip archives behind presigned URLs: the options (contract §6.6)."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import SecretStr, field_serializer

from transforms.section import Section, option


class PresignedUrls(Section):
    """Options of upstream's HTTP service. The URLs are secrets: never printed, never stored."""

    title: ClassVar[str] = "Presigned URLs"

    input_presigned_s3_url: SecretStr | None = option(None)
    """Presigned URL (GET) of a zip archive of videos, in place of ``input_video_path``."""
    output_presigned_s3_url: SecretStr | None = option(None)
    """Presigned URL (PUT) to which the output is sent as one zip archive at the end."""
    output_presigned_multipart: dict[str, Any] | None = option(None, repr=False)
    """``{"uploadId", "key", "parts"}``: the archive is sent in parts of 4.5 GB, ``parts`` are their
    presigned URLs in order. Wins over ``output_presigned_s3_url``."""

    @field_serializer("output_presigned_multipart")
    def _hide_multipart(self, value: dict[str, Any] | None) -> str | None:
        return "**********" if value else None

    @property
    def input_url(self) -> str | None:
        """Where the archive of videos lies."""
        secret = self.input_presigned_s3_url
        return secret.get_secret_value() if secret else None

    @property
    def output_url(self) -> str | None:
        """Where the output goes at once; None when it goes in parts."""
        secret = self.output_presigned_s3_url
        return None if secret is None or self.has_parts else secret.get_secret_value()

    @property
    def has_parts(self) -> bool:
        """Whether the output goes in parts."""
        return bool(self.output_presigned_multipart)

    @property
    def part_urls(self) -> tuple[str, ...] | None:
        """The URLs of the parts in order; None when there are none that could be URLs."""
        parts = (self.output_presigned_multipart or {}).get("parts")
        if not isinstance(parts, list) or not parts:
            return None
        return tuple(parts) if all(isinstance(part, str) for part in parts) else None

    @property
    def has_output(self) -> bool:
        """Whether the output is sent."""
        return self.has_parts or self.output_url is not None

    @property
    def is_given(self) -> bool:
        """Whether anything comes from or goes to an archive."""
        return self.input_url is not None or self.has_output
