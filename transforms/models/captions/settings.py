"""Settings of caption engines; plain values, read without importing the engines' packages."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal, Protocol

Device = Literal["auto", "cpu", "cuda"]


class EngineSettings(Protocol):
    """What every engine's settings tell."""

    @property
    def slots(self) -> int:
        """Requests that the engine works on at the same time."""
        ...

    @property
    def found(self) -> str:
        """Why ``auto`` takes this engine, a few words."""
        ...

    def definition(self) -> dict[str, Any]:
        """Return what decides the text of a caption, the prompt aside: it is fingerprinted."""
        ...


@dataclass(frozen=True, slots=True)
class OpenAISettings:
    """What requests look like and how stubbornly they are sent; holds no key."""

    model: str
    """Name at the endpoint."""
    max_tokens: int | None
    """Longest caption; None: the server's own limit."""
    slots: int = 8
    """Requests at the same time."""
    retries: int = 3
    """How often a request that failed is sent again."""
    retry_delay_seconds: float = 1.0
    timeout_seconds: float = 300.0
    """For one attempt."""
    temperature: float | None = None
    """Of sampling; None: the server's own."""
    top_p: float | None = None
    """Of nucleus sampling; None: the server's own."""

    @property
    def found(self) -> str:
        """Why ``auto`` takes this engine."""
        return f"{self.model} answers"

    def definition(self) -> dict[str, Any]:
        """Return what decides the text of a caption, the prompt aside."""
        return {"model": self.model, "max_tokens": self.max_tokens}


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen, by vLLM's names and meanings (contract §1.1)."""

    temperature: float = 0.1
    """0: always the likeliest token."""
    top_p: float = 0.001
    """Share of probability that the tokens chosen from have; the default leaves the likeliest."""
    top_k: int = 0
    """Number of tokens to choose from; 0 or less: all."""
    min_p: float = 0.0
    """Smallest probability relative to the likeliest token's."""
    repetition_penalty: float = 1.05
    """Of tokens that stand in the prompt or in the answer."""
    presence_penalty: float = 0.0
    """Of tokens that stand in the answer."""
    frequency_penalty: float = 0.0
    """The same, for each time."""
    min_tokens: int = 16
    """Shortest answer."""


@dataclass(frozen=True, slots=True)
class LocalModelSettings:
    """A model that runs in the worker."""

    model: str
    """As the user named it, or what stands for it: name of the catalogue, hub id or folder."""
    path: str
    """Folder with the model's files; a worker without it looks for ``model`` itself."""
    digest: str
    """Of these files."""
    revision: str | None = None
    """As the user named it."""
    model_weights_path: str | None = None
    """As the user named it."""
    max_tokens: int | None = None
    """Longest answer; None: what the model's context leaves."""

    @property
    def found(self) -> str:
        """Where it is, a few words: why ``auto`` takes it."""
        return f"{self.model} is here"


@dataclass(frozen=True, slots=True)
class TextModelSettings(LocalModelSettings):
    """A model of text alone, through the package transformers."""

    slots: int = 32
    """Captions given to the model at once."""
    device: Device = "auto"
    """auto: a GPU if the worker has one."""

    def definition(self) -> dict[str, Any]:
        """Return what decides the text, the prompt aside."""
        return {"files": self.digest, "max_tokens": self.max_tokens}


@dataclass(frozen=True, slots=True)
class TransformersSettings(LocalModelSettings):
    """A model of pictures and text, through the package transformers."""

    sampling: Sampling = Sampling()
    batch_size: int = 8
    """Windows that are answered together."""
    device: Device = "auto"
    """auto: a GPU if the worker has one."""
    reasons: bool = False
    """Whether the model thinks aloud first: only the answer behind that is kept."""
    own_resize: bool = False
    """Whether the model's processor resizes frames that have a size it could take as it is."""
    trust_remote_code: bool = False
    """Whether code that lies with the weights may run."""

    @property
    def slots(self) -> int:
        """Windows worked on at a time: one batch is made ready while another is answered."""
        return 2 * self.batch_size

    def definition(self) -> dict[str, Any]:
        """Return what decides the text of a caption, the prompt aside.

        Neither the device nor the batch: they change roundings, not what is asked for.
        """
        return {
            "files": self.digest,
            "max_tokens": self.max_tokens,
            "sampling": dataclasses.asdict(self.sampling),
            "reasons": self.reasons,
            "own_resize": self.own_resize,
        }


@dataclass(frozen=True, slots=True)
class Structure:
    """Captions as JSON."""

    schema: str
    """JSON Schema, as JSON."""
    retries: int = 2
    """How often an answer that does not fit is asked for again."""
