"""The TransNetV2 network: shot boundaries from tiny frames (Souček and Lokoč, arXiv 2008.04838).

Shapes: B windows, T frames of a window, pictures of 27 rows and 48 columns. A window is usually
T = 100 frames; any T >= 1 works.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

HEIGHT, WIDTH = 27, 48
"""Rows and columns of the frames."""
NEIGHBOURS = 50
"""A frame is compared with so many frames before it and behind it."""

_DILATIONS = (1, 2, 4, 8)
_FILTERS = 16
_NUM_STACKS = 3
_SIMILARITY_SIZE = 128
_HIDDEN_SIZE = 1024
_NORM_EPSILON = 1e-3


class SeparableConvolution(nn.Module):
    """A 3x3 convolution within each picture, then one over three pictures ``dilation`` apart."""

    def __init__(self, num_inputs: int, num_outputs: int, dilation: int) -> None:
        super().__init__()
        self.spatial = nn.Conv3d(
            num_inputs, 2 * num_outputs, (1, 3, 3), padding=(0, 1, 1), bias=False
        )
        self.temporal = nn.Conv3d(
            2 * num_outputs,
            num_outputs,
            (3, 1, 1),
            dilation=(dilation, 1, 1),
            padding=(dilation, 0, 0),
            bias=False,
        )

    def forward(self, pictures: Tensor) -> Tensor:
        """Map ``(B, num_inputs, T, H, W)`` to ``(B, num_outputs, T, H, W)``."""
        features: Tensor = self.temporal(self.spatial(pictures))
        return features


class DilatedBlock(nn.Module):
    """Convolutions of several dilations side by side, normalised together."""

    def __init__(self, num_inputs: int, num_filters: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            SeparableConvolution(num_inputs, num_filters, dilation) for dilation in _DILATIONS
        )
        self.norm = nn.BatchNorm3d(num_filters * len(_DILATIONS), eps=_NORM_EPSILON)

    def forward(self, pictures: Tensor) -> Tensor:
        """Map ``(B, num_inputs, T, H, W)`` to ``(B, 4 * num_filters, T, H, W)``."""
        features: Tensor = self.norm(torch.cat([branch(pictures) for branch in self.branches], 1))
        return features


class Stack(nn.Module):
    """Two dilated blocks with a shortcut around the second, then pictures of half the size."""

    def __init__(self, num_inputs: int, num_filters: int) -> None:
        super().__init__()
        num_outputs = num_filters * len(_DILATIONS)
        self.first = DilatedBlock(num_inputs, num_filters)
        self.second = DilatedBlock(num_outputs, num_filters)

    def forward(self, pictures: Tensor) -> Tensor:
        """Map ``(B, num_inputs, T, H, W)`` to ``(B, 4 * num_filters, T, H // 2, W // 2)``."""
        shortcut = functional.relu(self.first(pictures))
        features = functional.relu(self.second(shortcut)) + shortcut
        return functional.avg_pool3d(features, (1, 2, 2))


class NeighbourSimilarity(nn.Module):
    """How like each frame is to its neighbours, as learnt features."""

    def __init__(self) -> None:
        super().__init__()
        self.output = nn.Linear(2 * NEIGHBOURS + 1, _SIMILARITY_SIZE)

    def forward(self, vectors: Tensor) -> Tensor:
        """Map one vector per frame, ``(B, T, D)`` of length 1, to ``(B, T, 128)``."""
        num_frames = vectors.shape[1]
        similarities = vectors @ vectors.transpose(1, 2)
        padded = functional.pad(similarities, (NEIGHBOURS, NEIGHBOURS))
        # Row t of the padded matrix holds frame t's neighbourhood from column t on.
        columns = torch.arange(num_frames, device=vectors.device)[:, None] + torch.arange(
            2 * NEIGHBOURS + 1, device=vectors.device
        )
        near = padded.gather(2, columns.expand(len(vectors), -1, -1))
        return functional.relu(self.output(near))


class FeatureSimilarity(nn.Module):
    """Similarity of what the convolutions found."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.projection = nn.Linear(num_features, _SIMILARITY_SIZE)
        self.neighbours = NeighbourSimilarity()

    def forward(self, stacks: list[Tensor]) -> Tensor:
        """Map each stack's output, ``(B, C, T, H, W)``, to ``(B, T, 128)``."""
        means = torch.cat([features.mean((3, 4)) for features in stacks], 1).transpose(1, 2)
        similarity: Tensor = self.neighbours(functional.normalize(self.projection(means), dim=2))
        return similarity


class ColorSimilarity(nn.Module):
    """Similarity of colour histograms."""

    def __init__(self) -> None:
        super().__init__()
        self.neighbours = NeighbourSimilarity()

    def forward(self, frames: Tensor) -> Tensor:
        """Map frames, ``(B, T, 27, 48, 3)`` uint8, to ``(B, T, 128)``."""
        similarity: Tensor = self.neighbours(color_histograms(frames))
        return similarity


def color_histograms(frames: Tensor) -> Tensor:
    """Return histograms of 8 x 8 x 8 colours, each of length 1.

    Args:
        frames: ``(B, T, 27, 48, 3)`` uint8, RGB.

    Returns:
        ``(B, T, 512)`` float32.
    """
    num_windows, num_frames = frames.shape[:2]
    levels = frames.to(torch.int64) >> 5
    colors = (levels[..., 0] << 6) + (levels[..., 1] << 3) + levels[..., 2]
    colors = colors.reshape(num_windows, num_frames, -1)
    counts = torch.zeros(num_windows, num_frames, 512, device=frames.device)
    counts.scatter_add_(2, colors, torch.ones_like(colors, dtype=torch.float32))
    return functional.normalize(counts, dim=2)


class TransNetV2(nn.Module):
    """Windows of frames to two logits per frame."""

    def __init__(self) -> None:
        super().__init__()
        sizes = [_FILTERS * 2**index for index in range(_NUM_STACKS)]
        widths = [size * len(_DILATIONS) for size in sizes]
        inputs = [3, *widths[:-1]]
        self.stacks = nn.ModuleList(map(Stack, inputs, sizes))
        self.feature_similarity = FeatureSimilarity(sum(widths))
        self.color_similarity = ColorSimilarity()
        pooled = (HEIGHT >> _NUM_STACKS) * (WIDTH >> _NUM_STACKS) * widths[-1]
        self.hidden = nn.Linear(pooled + 2 * _SIMILARITY_SIZE, _HIDDEN_SIZE)
        self.one_hot = nn.Linear(_HIDDEN_SIZE, 1)
        self.many_hot = nn.Linear(_HIDDEN_SIZE, 1)

    def forward(self, frames: Tensor) -> Tensor:
        """Return the logits of both heads.

        Args:
            frames: ``(B, T, 27, 48, 3)`` uint8, RGB.

        Returns:
            ``(B, T, 2)`` float32: the frame is the last one of its shot (one-hot head); the frame
            lies within a transition (many-hot head).
        """
        pictures = frames.permute(0, 4, 1, 2, 3).to(torch.float32) / 255
        features = []
        for stack in self.stacks:
            pictures = stack(pictures)
            features.append(pictures)
        flat = pictures.permute(0, 2, 3, 4, 1).flatten(2)
        similar = self.feature_similarity(features)
        colors = self.color_similarity(frames)
        hidden = functional.relu(self.hidden(torch.cat([colors, similar, flat], 2)))
        return torch.cat([self.one_hot(hidden), self.many_hot(hidden)], 2)


_NAMES = (
    (r"^SDDCNN\.(\d)\.DDCNN\.0\.", r"stacks.\1.first."),
    (r"^SDDCNN\.(\d)\.DDCNN\.1\.", r"stacks.\1.second."),
    (r"Conv3D_1\.", "branches.0."),
    (r"Conv3D_2\.", "branches.1."),
    (r"Conv3D_4\.", "branches.2."),
    (r"Conv3D_8\.", "branches.3."),
    (r"layers\.0\.", "spatial."),
    (r"layers\.1\.", "temporal."),
    (r"\.bn\.", ".norm."),
    (r"^frame_sim_layer\.projection\.", "feature_similarity.projection."),
    (r"^frame_sim_layer\.fc\.", "feature_similarity.neighbours.output."),
    (r"^color_hist_layer\.fc\.", "color_similarity.neighbours.output."),
    (r"^fc1\.", "hidden."),
    (r"^cls_layer1\.", "one_hot."),
    (r"^cls_layer2\.", "many_hot."),
)
"""Names of the public PyTorch port's weights, and ours."""


def renamed_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of the public PyTorch port under this module's names."""
    return {_renamed(name): tensor for name, tensor in weights.items()}


def _renamed(name: str) -> str:
    for pattern, ours in _NAMES:
        name = re.sub(pattern, ours, name)
    return name
