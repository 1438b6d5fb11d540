"""Finding shots and cutting there with PySceneDetect, as its documentation shows it.

    python -m benchmarks.shots_loop --sources raw --folder work

Its default detector and frame rate of detection; ffmpeg encodes each scene with libx264 as our
default does. Needs the extra ``benchmark``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from scenedetect import ContentDetector, detect
from scenedetect.output import split_video_ffmpeg

ENCODER = "-map 0:v:0 -c:v libx264 -preset veryfast -b:v 4M"


def main() -> None:
    """Cut every source, one after the other."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sources", type=Path, required=True, help="folder of mp4 files")
    parser.add_argument("--folder", type=Path, required=True, help="where to write")
    options = parser.parse_args()
    num_scenes = 0
    for source in sorted(options.sources.glob("*.mp4")):
        scenes = detect(str(source), ContentDetector(), start_in_scene=True)
        template = f"{options.folder}/{source.stem}-$SCENE_NUMBER.mp4"
        if status := split_video_ffmpeg(
            str(source), scenes, output_file_template=template, arg_override=ENCODER
        ):
            raise SystemExit(f"ffmpeg ended with status {status} on {source}")
        num_scenes += len(scenes)
    print(f"{num_scenes} scenes")


if __name__ == "__main__":
    main()
