"""The quickstart: what runs when nothing but Beam options is given."""

from __future__ import annotations

import sys
from pathlib import Path

from beam_pipeline.commands.sample import draw
from beam_pipeline.configuration.config import AnyConfig, load_config
from beam_pipeline.configuration.config_files import quickstart_file, read_config_file
from beam_pipeline.configuration.settled import complete

SAMPLE_SECONDS = 66.0
"""Just enough for two shots in each of the twelve files."""
SAMPLE_SEED = 0
CLIPS_SHOWN = 24


def quickstart_config() -> AnyConfig:
    """Return the configuration of ``configs/quickstart.yaml``."""
    file = read_config_file(quickstart_file())
    return complete(load_config(str(file.pipeline), file.values, {}))


def run_quickstart(beam_flags: list[str]) -> int:
    """Draw sample videos unless they are there, curate them, and return the exit status.

    Raises:
        PreflightError: The current folder cannot be written, or the run cannot start.
    """
    # Beam takes two seconds to import: only when something runs.
    from beam_pipeline.run import run_pipeline  # noqa: PLC0415

    config = quickstart_config()
    raw = Path(str(config.input.input_video_path)).absolute()
    print(f"Sample videos: {raw}", file=sys.stderr, flush=True)
    draw(raw, seconds=SAMPLE_SECONDS, seed=SAMPLE_SEED)
    status = run_pipeline(config.pipeline, config, beam_flags=beam_flags)
    output = Path(str(config.output.output_clip_path)).absolute()
    sheet = output.parent / "contact-sheet.png"
    if _draw_contact_sheet(output, sheet):
        print(f"  pictures  {sheet}")
    print("Next, with videos of your own:")
    print(
        "  python -m beam_pipeline curate --input_video_path VIDEOS "
        "--output_clip_path OUT/processed"
    )
    return status


def _draw_contact_sheet(output: Path, sheet: Path) -> bool:
    """Draw the first pictures of the clips; return whether there are clips."""
    from transforms.media.contact_sheet import contact_sheet  # noqa: PLC0415 - imports PyAV

    clips = sorted((output / "clips").glob("*.mp4"))[:CLIPS_SHOWN]
    if clips and not sheet.exists():
        contact_sheet(clips, sheet)
    return bool(clips)
