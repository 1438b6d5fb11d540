"""A real, tiny text model in this process: batches, limits, what it is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_text_model import tiny_text_model
from torch_tests import needs_torch

from transforms.errors import PreflightError
from transforms.models.captions.chain.settings import EnhanceSettings, TextModelSettings
from transforms.models.captions.engine import CaptionRequest

pytestmark = needs_torch
