"""What can go wrong, by who can mend it."""

from __future__ import annotations


class CurateError(Exception):
    """Base of every error this program raises on purpose."""


class UsageError(CurateError):
    """The command or its options cannot work; nothing was started (exit status 2)."""


class PreflightError(CurateError):
    """The options are valid, but this machine or its storage cannot run them (exit status 1)."""


class MediaError(CurateError):
    """One input or one clip cannot be read, cut or written; the rest of the run goes on.

    Args:
        reason: Short machine-readable cause, e.g. ``no_video_stream``; stands in the failure file.
        message: One sentence for people: what was needed, what was got, which input.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(reason, message)
        self.reason = reason
        self.message = message

    def __str__(self) -> str:
        """Return the sentence for people."""
        return self.message


class LedgerError(CurateError):
    """What was planned is neither committed nor failed: something was lost."""
