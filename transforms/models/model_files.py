"""Where files of models come from: the option that all models share."""

from __future__ import annotations

from typing import ClassVar

from transforms.section import Section, option

_PLACEHOLDER = "s3://your_bucket_name/model_weights/"


class ModelFiles(Section):
    """Where files of models come from."""

    title: ClassVar[str] = "Model files"

    model_weights_path: str = option(_PLACEHOLDER)
    """Folder, here or in a store (s3://, gs://: copied to this machine once), with the files of
    models below their names on the hub (owner/name), as `models pull` makes it. Upstream's default,
    a placeholder, means none. What is not there is looked for in installed packages and in the
    hub's cache on this machine."""

    trust_remote_code: bool = option(False)
    """Whether Python code that lies with a model's weights may run; some models need it."""

    @property
    def folder(self) -> str | None:
        """The folder, None when none is named."""
        return None if self.model_weights_path == _PLACEHOLDER else self.model_weights_path
