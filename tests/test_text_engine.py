"""A real, tiny text model in this process: batches, limits, what it is told."""

from __future__ import annotations

from torch_tests import needs_torch

pytestmark = needs_torch
