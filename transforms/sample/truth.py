"""What is known about a drawn file, as the JSON beside it tells it."""

from dataclasses import asdict
from fractions import Fraction

from transforms.sample.block_code import describe_geometry
from transforms.sample.container import WrittenTimes
from transforms.sample.recipes import VideoRecipe
from transforms.sample.scenes import scene_kind, scene_moves
from transforms.sample.timeline import Shot, Timeline


def describe_video(
    name: str, recipe: VideoRecipe, timeline: Timeline, written: WrittenTimes, *, seed: int
) -> dict[str, object]:
    """Return the truth about the file ``name`` as plain JSON values.

    ``cuts`` lists the first frame of each new shot and its PTS in the file's own ``time_base``;
    frame numbers count from 0, and ``last_frame`` is included. ``pts`` is there for files of
    variable rate only. ``rotation`` is in degrees counter-clockwise, as a player applies it.
    """
    return {
        "file": name,
        "seed": seed,
        **_describe_recipe(recipe),
        "fps": str(average_rate(recipe, timeline)),
        "num_frames": timeline.num_frames,
        "seconds": float(timeline.duration),
        "num_keyframes": written.num_keyframes,
        "time_base": str(written.time_base),
        "first_pts": int(written.pts[0]),
        "pts": written.pts.tolist() if recipe.variable_rate else None,
        "cuts": [
            {"frame": s.first_frame, "pts": int(written.pts[s.first_frame]), "shot": s.number}
            for s in timeline.shots[1:]
        ],
        "transitions": [asdict(transition) for transition in timeline.transitions],
        "shots": [_describe_shot(shot) for shot in timeline.shots],
        "block_code": describe_geometry(),
    }


def average_rate(recipe: VideoRecipe, timeline: Timeline) -> Fraction:
    """Return frames per second, for a variable rate the average over the file."""
    return timeline.num_frames / timeline.duration if recipe.variable_rate else recipe.fps


def _describe_recipe(recipe: VideoRecipe) -> dict[str, object]:
    width, height = recipe.size
    sideways = recipe.rotation in (90, 270)
    return {
        "recipe": recipe.name,
        "width": width,
        "height": height,
        "stored_width": height if sideways else width,
        "stored_height": width if sideways else height,
        "rotation": recipe.rotation,
        "codec": recipe.codec,
        "bits": 10 if recipe.codec == "hevc10" else 8,
        "audio": recipe.audio,
        "variable_rate": recipe.variable_rate,
    }


def _describe_shot(shot: Shot) -> dict[str, object]:
    return {
        "shot": shot.number,
        "scene": shot.scene,
        "kind": scene_kind(shot.scene),
        "moves": scene_moves(shot.scene),
        "first_frame": shot.first_frame,
        "last_frame": shot.end_frame - 1,
    }
