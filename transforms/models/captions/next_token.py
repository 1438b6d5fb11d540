"""How the next token is chosen, the same for a window whoever shares its batch.

Imports torch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from transformers import (
    LogitsProcessor,
    LogitsProcessorList,
    MinPLogitsWarper,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from transforms.models.captions.settings import Sampling


def seed_of(request_id: str) -> int:
    """Return the seed of a request: the same request draws the same tokens in every run."""
    return int.from_bytes(hashlib.sha256(request_id.encode()).digest()[:8], "big") >> 1


def next_token_rules(
    sampling: Sampling, *, prompt_mask: torch.Tensor, seeds: Sequence[int]
) -> LogitsProcessorList:
    """Return what turns scores into scores of which the highest is the token to take.

    Drawing from the probabilities is done by adding Gumbel noise of the request's own seed, so
    that greedy search draws, and no request depends on the others' draws.

    Args:
        sampling: Penalties, temperature and what to choose from.
        prompt_mask: Where the prompts' tokens are no padding, shape (requests, tokens).
        seeds: One per request.
    """
    rules = LogitsProcessorList([_Penalties(sampling, prompt_mask)])
    if sampling.temperature == 0:
        return rules
    rules.append(TemperatureLogitsWarper(float(sampling.temperature)))
    if sampling.min_p > 0:
        rules.append(MinPLogitsWarper(sampling.min_p))
    if sampling.top_k > 0:
        rules.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        rules.append(_TopP(sampling.top_p))
    rules.append(_Draw(seeds))
    return rules


class _Penalties(LogitsProcessor):
    """vLLM's penalties; unlike transformers' own, padding is no repeated token."""

    def __init__(self, sampling: Sampling, prompt_mask: torch.Tensor) -> None:
        self._sampling = sampling
        self._mask = prompt_mask
        self._asked: torch.Tensor | None = None
        """Whether a token stands in the prompt, shape (requests, vocabulary)."""

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        sampling = self._sampling
        num_prompt = self._mask.shape[1]
        said = torch.zeros_like(scores)
        answer = input_ids[:, num_prompt:]
        said.scatter_add_(1, answer, torch.ones_like(answer, dtype=scores.dtype))
        if sampling.repetition_penalty != 1:
            if self._asked is None:
                counts = torch.zeros_like(scores)
                counts.scatter_add_(1, input_ids[:, :num_prompt], self._mask.to(scores.dtype))
                self._asked = counts > 0
            weaker = torch.where(
                scores > 0,
                scores / sampling.repetition_penalty,
                scores * sampling.repetition_penalty,
            )
            scores = torch.where(self._asked | (said > 0), weaker, scores)
        penalty = sampling.frequency_penalty * said + sampling.presence_penalty * (said > 0)
        return scores - penalty


class _TopP(LogitsProcessor):
    """``TopPLogitsWarper``, but nothing is sorted where the likeliest token alone is enough."""

    def __init__(self, top_p: float) -> None:
        self._top_p = top_p
        self._sorting = TopPLogitsWarper(top_p)

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        best, place = scores.max(1, keepdim=True)
        share = (best - scores.logsumexp(1, keepdim=True)).exp()
        alone = torch.full_like(scores, -torch.inf).scatter_(1, place, best)
        if (share >= self._top_p).all():
            return alone
        return torch.where(share >= self._top_p, alone, self._sorting(input_ids, scores))


class _Draw(LogitsProcessor):
    """Adds each request's own noise: the highest score is then a draw (Gumbel-max)."""

    def __init__(self, seeds: Sequence[int]) -> None:
        # On the processor: every device draws the same.
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        scores = scores.clone()
        open_rows = (torch.isfinite(scores).sum(1) > 1).tolist()
        for row, is_open in enumerate(open_rows):
            if is_open:
                places = torch.isfinite(scores[row]).nonzero()[:, 0]
                noise = torch.empty(len(places)).exponential_(generator=self._generators[row])
                scores[row, places] -= noise.log().to(scores)
        return scores
