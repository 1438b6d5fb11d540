"""The frames of one file, drawn one after another: scenes, transitions, block codes."""

from collections.abc import Iterator

import numpy as np

from transforms.sample.block_code import draw_code
from transforms.sample.planes import Planes, darken_planes, mix_planes, new_planes
from transforms.sample.recipes import VideoRecipe
from transforms.sample.scenes import Scene, make_scene
from transforms.sample.timeline import Shot, Timeline, Transition


def draw_frames(recipe: VideoRecipe, timeline: Timeline, *, seed: int) -> Iterator[Planes]:
    """Yield every frame of the file, upright, in presentation order.

    The same picture is painted over again for each frame: copy what must last. At most two shots
    are held in memory.
    """
    canvas, other = new_planes(*recipe.size), new_planes(*recipe.size)
    shots = _Scenes(recipe, timeline, seed)
    for shot in timeline.shots:
        for frame in range(shot.first_frame, shot.end_frame):
            shots.paint(canvas, shot.number, frame)
            transition = _transition_at(timeline, shot, frame)
            if transition is not None:
                neighbour = shot.number + (1 if frame < transition.cut_frame else -1)
                _blend(canvas, other, transition, frame, (shots, neighbour))
            draw_code(canvas, frame=frame, shot=shot.number)
            yield canvas


class _Scenes:
    """The scenes of the current shot and its neighbours, made when first needed."""

    def __init__(self, recipe: VideoRecipe, timeline: Timeline, seed: int) -> None:
        self._recipe, self._timeline, self._seed = recipe, timeline, seed
        self._made: dict[int, Scene] = {}

    def paint(self, canvas: Planes, number: int, frame: int) -> None:
        """Paint what the shot ``number`` shows at the file's ``frame``."""
        shot = self._timeline.shots[number]
        if number not in self._made:
            self._made = {n: scene for n, scene in self._made.items() if n == number - 1}
            self._made[number] = make_scene(
                shot.scene,
                size=self._recipe.size,
                fps=float(self._recipe.fps),
                rng=np.random.default_rng([self._seed, 2, number]),
            )
        self._made[number].paint(canvas, frame - shot.first_frame)


def _transition_at(timeline: Timeline, shot: Shot, frame: int) -> Transition | None:
    """Return the fade or dissolve that ``frame`` of ``shot`` belongs to."""
    near = timeline.transitions[max(0, shot.number - 1) : shot.number + 1]
    for transition in near:
        if transition.kind != "cut" and transition.first_frame <= frame <= transition.last_frame:
            return transition
    return None


def _blend(
    canvas: Planes,
    other: Planes,
    transition: Transition,
    frame: int,
    neighbour: tuple[_Scenes, int],
) -> None:
    """Mix the neighbouring shot, or black, into ``canvas``."""
    length = transition.last_frame - transition.first_frame + 1
    progress = (frame - transition.first_frame + 1) / (length + 1)
    if transition.kind == "fade":
        darken_planes(canvas, weight=1 - abs(2 * progress - 1))
        return
    scenes, number = neighbour
    scenes.paint(other, number, frame)
    mix_planes(canvas, other, weight=min(progress, 1 - progress))
