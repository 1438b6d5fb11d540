"""The kinds of files of a sample set: size, rate, codec, scenes and what is unusual about each."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from transforms.sample.textures import Size

Codec = Literal["h264", "hevc10", "vp9"]
TransitionKind = Literal["cut", "fade", "dissolve"]
AudioCodec = Literal["aac", "libopus"]


@dataclass(frozen=True, kw_only=True)
class VideoRecipe:
    """How one file of a sample set is drawn; its length and its seed come from outside."""

    name: str
    """Part of the file's name: lower case, digits and hyphens."""
    size: Size
    """Width and height in px as the picture is seen, upright; both even."""
    fps: Fraction
    """Frames per second; for a variable rate only what the header promises."""
    scenes: tuple[str, ...]
    """Scenes of the shots in turn (see ``scenes.SCENES``), repeated for long files."""
    transitions: tuple[TransitionKind, ...] = ("cut",)
    """Transitions between the shots in turn, repeated likewise."""
    share: float = 5.0
    """How much of the time of a set it gets beyond its minimum, relative to the other recipes."""
    shot_seconds: float = 4.0
    """Average length of a shot in seconds."""
    container: Literal["mp4", "mkv", "webm"] = "mp4"
    codec: Codec = "h264"
    audio: AudioCodec | None = None
    rotation: Literal[0, 90, 180, 270] = 0
    """Degrees by which a player turns the stored picture counter-clockwise to show it upright."""
    variable_rate: bool = False
    """Whether the time from frame to frame varies."""
    single_keyframe: bool = False
    """Whether only the first frame is a keyframe, however long the file is."""


_NTSC = Fraction(30000, 1001)

RECIPES: tuple[VideoRecipe, ...] = (
    VideoRecipe(
        name="landscape",
        size=(640, 360),
        fps=Fraction(24),
        scenes=("valley", "coast", "table", "sea", "city"),
        transitions=("cut", "dissolve", "cut"),
        share=11,
        audio="aac",
    ),
    VideoRecipe(
        name="portrait",
        size=(480, 640),
        fps=Fraction(25),
        scenes=("clouds", "card", "bricks", "tiles"),
        transitions=("dissolve", "cut"),
        share=7,
    ),
    VideoRecipe(
        name="square",
        size=(512, 512),
        fps=_NTSC,
        scenes=("glass", "granite", "poster", "sea"),
        transitions=("cut", "fade"),
        share=7,
    ),
    VideoRecipe(
        name="wide",
        size=(854, 480),
        fps=Fraction(24),
        scenes=("sea", "lettering", "clouds", "valley"),
        transitions=("fade", "cut"),
        share=9,
        container="mkv",
        audio="aac",
    ),
    VideoRecipe(
        name="hd",
        size=(1280, 720),
        fps=Fraction(25),
        scenes=("coast", "city", "tiles"),
        transitions=("cut", "dissolve"),
        share=5,
    ),
    VideoRecipe(
        name="full-hd",
        size=(1920, 1080),
        fps=Fraction(24),
        scenes=("clouds", "glass", "valley"),
        share=0.5,
        shot_seconds=3,
    ),
    VideoRecipe(
        name="sixty-fps",
        size=(640, 360),
        fps=Fraction(60),
        scenes=("tiles", "coast", "plasma"),
        share=3,
    ),
    VideoRecipe(
        name="variable-rate",
        size=(640, 360),
        fps=Fraction(24),
        scenes=("granite", "clouds", "table", "bricks"),
        transitions=("cut", "dissolve"),
        share=7,
        variable_rate=True,
    ),
    VideoRecipe(
        name="one-keyframe",
        size=(640, 360),
        fps=Fraction(25),
        scenes=("lettering", "night", "valley", "glass", "sea", "stars"),
        transitions=("cut", "cut", "dissolve", "fade"),
        share=15,
        single_keyframe=True,
    ),
    VideoRecipe(
        name="phone-rotated",
        size=(360, 640),
        fps=_NTSC,
        scenes=("city", "bricks", "clouds"),
        share=5,
        audio="aac",
        rotation=270,
    ),
    VideoRecipe(
        name="ten-bit",
        size=(640, 360),
        fps=Fraction(24),
        scenes=("plasma", "stars", "coast"),
        transitions=("dissolve", "cut"),
        share=5,
        codec="hevc10",
    ),
    VideoRecipe(
        name="web",
        size=(480, 270),
        fps=Fraction(25),
        scenes=("granite", "poster", "valley"),
        transitions=("cut", "fade"),
        share=5,
        container="webm",
        codec="vp9",
        audio="libopus",
    ),
)
"""One recipe for each kind of file in a sample set, in the order of the files."""
