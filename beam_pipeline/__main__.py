"""``python -m beam_pipeline``."""

from beam_pipeline.cli import run_and_exit

if __name__ == "__main__":
    run_and_exit()
