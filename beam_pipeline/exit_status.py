"""Exit statuses of the command (architecture: storage, commits, resume)."""

from __future__ import annotations

from transforms.clips.ledger import Ledger

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_WITH_FAILURES = 3
EXIT_INTERRUPTED = 130


def exit_status(ledger: Ledger, max_failed_share: float) -> int:
    """Return the status for what lies in the output: a state, not an event.

    0: clean. 3: finished, some videos or clips failed, within the allowed share of videos.
    1: more failed, or no clip at all came from the input.
    """
    num_clips = ledger.num_clips_kept + ledger.num_clips_rejected
    if ledger.num_videos and not num_clips:
        return EXIT_FAILED
    if ledger.failed_share > max_failed_share:
        return EXIT_FAILED
    return EXIT_WITH_FAILURES if ledger.failed_videos or ledger.num_clips_failed else EXIT_OK
