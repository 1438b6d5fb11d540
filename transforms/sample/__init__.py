"""Sample videos drawn from nothing: deterministic, varied, with a code in every frame."""

from transforms.sample.recipes import RECIPES, VideoRecipe
from transforms.sample.sample_set import SampleVideo, draw_sample_set, draw_video, truth_path

__all__ = ["RECIPES", "SampleVideo", "VideoRecipe", "draw_sample_set", "draw_video", "truth_path"]
