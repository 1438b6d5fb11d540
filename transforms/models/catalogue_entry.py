"""One model of the catalogue: what it is called, where its files are, what it needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Task = Literal["shots", "caption", "embedding", "text", "part"]
"""What a model is for; ``part``: files that another model needs."""
Dtype = Literal["float32", "bfloat16", "fp8", "mxfp4"]

HUB_FILES = ("*.json", "*.safetensors", "*.txt", "*.model", "*.jinja", "*.py")
"""What is read of a repository that transformers or vLLM loads."""
_WORK_SHARE = 1.2
_WORK_BYTES = 1_000_000_000


@dataclass(frozen=True)
class Entry:
    """A model that an option can name.

    Sources: names and frames of contract §1.12, §1.14 and Appendix A; hub ids, revisions and files
    of upstream's table of models (``all_models.json``); licences and numbers of parameters of the
    models' cards.
    """

    name: str
    """The option's value."""
    task: Task
    hub_id: str | None
    """Repository on the Hugging Face hub; None: served, there are no files."""
    output: str
    """``caption``, or dtype and shape of the vector of one clip."""
    revision: str | None = None
    """Commit of the repository, upstream's; None: ``main``, found out and recorded by a pull."""
    files: tuple[str, ...] = HUB_FILES
    """Patterns of the files that are used."""
    licence: str = ""
    parameters: int | None = None
    """About how many; None: not published."""
    dtype: Dtype = "bfloat16"
    """Number type of the weights as they are used."""
    num_bytes: int | None = None
    """Size of the files, from published sizes or parameters x dtype: the hub tells the exact one
    when they are pulled. None: not known here."""
    gpu_bytes: int | None = None
    """Where a card states the GPU memory that is needed; else it is derived."""
    aliases: tuple[str, ...] = ()
    gated: bool = False
    """Whether the hub asks for a token of an account that has accepted the licence."""
    parts: tuple[str, ...] = ()
    """Entries whose files it needs too."""
    remote_code: bool = False
    """Whether the repository's own code loads it, which needs the user's consent."""
    note: str = ""
    """Where a number comes from that is not of the card, and the like."""

    @property
    def is_served(self) -> bool:
        """Return whether an API answers for it, so that there is nothing to pull."""
        return self.hub_id is None

    @property
    def gpu_memory_bytes(self) -> int | None:
        """Return about how much GPU memory it needs: its weights, a fifth more, and 1 GB to work.

        An estimate for short batches, not a measurement. vLLM takes the share of the GPU that
        it is told to, whatever the model needs.
        """
        if self.gpu_bytes is not None or self.num_bytes is None:
            return self.gpu_bytes
        return int(self.num_bytes * _WORK_SHARE) + _WORK_BYTES
