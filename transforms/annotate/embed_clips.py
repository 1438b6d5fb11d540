"""Give every clip an embedding: the options; the stage itself is not built yet."""

from __future__ import annotations

from typing import ClassVar, Literal

from transforms.section import Section, ignored, option


class Embedding(Section):
    """Options of clip embeddings (contract §1.12)."""

    title: ClassVar[str] = "Embeddings"
    built: ClassVar[bool] = False
    auto_option: ClassVar[str] = "generate_embeddings"

    generate_embeddings: bool | Literal["auto"] = option("auto")
    """Whether clips get embeddings; auto: where the model's weights or an endpoint are present."""
    embedding_algorithm: Literal[
        "cosmos-embed1-224p",
        "cosmos-embed1-336p",
        "cosmos-embed1-448p",
        "internvideo2",
        "openai",
    ] = option("internvideo2")
    """Which model embeds."""
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

    def decide_auto(self) -> tuple[bool, str]:
        """Return what ``auto`` means on this machine, and why."""
        return False, "embeddings are not built yet"

    def not_built(self) -> str | None:
        """Return why embeddings cannot be made yet."""
        if self.generate_embeddings is not True:
            return None
        return (
            "generate_embeddings=true: embeddings are not built yet; set generate_embeddings to "
            "auto or false (they can be added to the same output later)."
        )


class FrameSampling(Section):
    """Options of the frames that models see (contract §1.7)."""

    title: ClassVar[str] = "Sampled frames"
    built: ClassVar[bool] = False

    clip_extraction_target_res: int = option(-1, unit="pixels")
    """Side of the square that sampled frames are resized to; 0 or less: as large as they are."""
    clip_extraction_cpus_per_worker: float = ignored(
        3.0, instead="the number of workers is the runner's: --direct_num_workers, --parallelism"
    )
    """Upstream's processor share of a Ray worker."""
