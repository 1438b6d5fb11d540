"""Options of clip embeddings and of the frames that they are made from."""

from __future__ import annotations

from typing import ClassVar, Literal

from transforms.section import Section, ignored, option


class Embedding(Section):
    """Options of clip embeddings (contract §1.12)."""

    title: ClassVar[str] = "Embeddings"
    auto_option: ClassVar[str] = "generate_embeddings"

    generate_embeddings: bool | Literal["auto"] = option("auto")
    """Whether clips get embeddings; auto: where the model's weights or an endpoint are present."""
    embedding_algorithm: Literal[
        "auto",
        "clip",
        "cosmos-embed1-224p",
        "cosmos-embed1-336p",
        "cosmos-embed1-448p",
        "internvideo2",
        "openai",
        "siglip2",
    ] = option("auto")
    """Which model embeds; auto: what the output was begun with, else the first whose weights are
    here of siglip2, clip. Upstream's default is internvideo2."""
    embedding_model: str | None = option(None)
    """Model on the hub, or folder with its files, in place of the algorithm's own; of the same
    kind."""
    embedding_model_revision: str | None = option(None)
    """Revision of the model on the hub; null: the pinned one."""
    embedding_device: Literal["auto", "cpu", "cuda"] = option("auto")
    """Where the model computes; auto: on a GPU where a worker has one."""
    embedding_batch_size: int = option(8, unit="clips", ge=1)
    """Clips given to the model at once."""
    openai_embedding_model_name: str = option("auto")
    """Model at an OpenAI-compatible endpoint; auto: the only one it serves."""
    openai_embedding_retries: int = option(3, ge=0)
    """How often a failed request is repeated."""
    openai_embedding_retry_delay_seconds: float = option(1.0, unit="seconds", ge=0)
    """Pause before a repeated request."""
    openai_embedding_max_concurrent_requests: int = option(8, unit="requests", ge=1)
    """Requests in flight at once."""
    embedding_gpus_per_worker: float = ignored(
        0.25, instead="one model per worker process; the runner's preset places GPUs"
    )
    """Upstream's GPU share of a Ray worker."""


class FrameSampling(Section):
    """Options of the frames that models see (contract §1.7)."""

    title: ClassVar[str] = "Sampled frames"

    clip_extraction_target_res: int = option(-1, unit="pixels")
    """Side of the square that frames for embeddings are stretched to; 0 or less: as the model needs
    them, and for served models as large as they are."""
    clip_extraction_cpus_per_worker: float = ignored(
        3.0, instead="the number of workers is the runner's: --direct_num_workers, --parallelism"
    )
    """Upstream's processor share of a Ray worker."""
