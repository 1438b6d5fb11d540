"""Exit statuses of the command: what lies in the output decides."""

from __future__ import annotations

from transforms.clips.ledger import Ledger
from transforms.recaption.ledger import AnnotationLedger

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_WITH_FAILURES = 3
EXIT_INTERRUPTED = 130


def exit_status(ledger: Ledger | AnnotationLedger, max_failed_share: float) -> int:
    """Return the status for what lies in the output: a state, not an event.

    0: clean. 3: finished, some videos or clips failed, within the allowed share of videos.
    1: more failed, or no clip at all came from the input.
    """
    if failed_because(ledger, max_failed_share):
        return EXIT_FAILED
    if isinstance(ledger, AnnotationLedger):
        return EXIT_WITH_FAILURES if ledger.failed else EXIT_OK
    return EXIT_WITH_FAILURES if ledger.failed_videos or ledger.num_clips_failed else EXIT_OK


def failed_because(ledger: Ledger | AnnotationLedger, max_failed_share: float) -> str | None:
    """Return why the status is 1, as one sentence with what to do; None when it is not."""
    if isinstance(ledger, AnnotationLedger):
        return _clips_failed_because(ledger, max_failed_share)
    num_failed, num_videos = len(ledger.failed_videos), ledger.num_videos
    if ledger.failed_share > max_failed_share:
        return (
            f"{num_failed} of {num_videos} videos failed, more than "
            f"max_failed_share={max_failed_share:g} allows; mend or remove them and give the same "
            "command with --retry_failed, or allow more"
        )
    if num_videos and not ledger.num_clips_kept + ledger.num_clips_rejected:
        return (
            f"no clip came out of {num_videos} videos ({len(ledger.videos_without_clips)} too "
            "short); a video gives clips when it is at least fixed_stride_min_clip_length_s long, "
            "a shot when it is at least transnetv2_min_length_s long without transnetv2_crop_s at "
            "both ends"
        )
    return None


def _clips_failed_because(ledger: AnnotationLedger, max_failed_share: float) -> str | None:
    if ledger.failed_share > max_failed_share:
        return (
            f"{len(ledger.failed)} of {ledger.num_planned} clips could not be captioned anew, more "
            f"than max_failed_share={max_failed_share:g} allows; mend them and give the same "
            "command with --retry_failed, or allow more"
        )
    if not ledger.num_planned:
        return "there is no kept clip to caption; run split first"
    return None
