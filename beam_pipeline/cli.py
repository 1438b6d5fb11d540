"""Command line to exit status."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from beam_pipeline.commands.quickstart import run_quickstart
from beam_pipeline.commands.sample import run_sample, sample_options
from beam_pipeline.configuration.arguments import HELP, PROFILE, REPAIR, Arguments, parse_arguments
from beam_pipeline.configuration.config import AnyConfig, RecaptionConfig, ShardConfig
from beam_pipeline.configuration.configured import configured
from beam_pipeline.configuration.help_text import help_text
from beam_pipeline.exit_status import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_OK, EXIT_USAGE
from beam_pipeline.version import VERSION
from runners.logs import configure_logging
from transforms.errors import CurateError, PreflightError, UsageError
from transforms.storage.plain_names import without_queries

_logger = logging.getLogger(__name__)


class InterruptionError(KeyboardInterrupt):
    """The process was asked to end: Ctrl-C (SIGINT) or SIGTERM.

    A class of its own: where KeyboardInterrupt itself passes through code that a library runs with
    ``exec``, Python ends by the signal at its exit, whatever status was asked for.
    """


def main(argv: list[str]) -> int:
    """Run the command that ``argv`` (without the program's name) asks for; return its exit status.

    The status is 0 when everything finished, 3 when it finished with few enough failures, 1 when
    it failed, 2 for wrong use, 130 when it was interrupted.
    """
    configure_logging(logging.WARNING)
    try:
        with _ending_on_signals():
            if argv[:1] == ["slurm"]:
                return _slurm(argv[1:])
            if argv[:1] == ["models"] and not any(word in HELP for word in argv):
                from beam_pipeline.commands.models import run_models  # noqa: PLC0415

                return run_models(argv[1:], configured)
            return _dispatch(parse_arguments(argv, sample_options()))
    except UsageError as error:
        _complain(error)
        print("Try: python -m beam_pipeline --help", file=sys.stderr)
        return EXIT_USAGE
    except CurateError as error:
        _complain(error)
        if not isinstance(error, PreflightError):
            print(
                "What is finished stays. When this is mended, the same command goes on from here.",
                file=sys.stderr,
            )
        return EXIT_FAILED
    except KeyboardInterrupt:
        print(
            "\nInterrupted. The same command goes on from here: what is finished stays.",
            file=sys.stderr,
        )
        return EXIT_INTERRUPTED


def run_and_exit() -> None:
    """Run the command of this process and end it; the console script ``beam-curate``."""
    status = main(sys.argv[1:])
    # All is done: a signal that comes now must not make another status of it.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    sys.exit(status)


def _dispatch(arguments: Arguments) -> int:
    if arguments.command == "help":
        print(help_text(arguments.pipeline))
        return EXIT_OK
    if arguments.command == "version":
        print(f"beam-curate {VERSION}")
        return EXIT_OK
    if arguments.command == "sample":
        return run_sample(arguments.overrides)
    if arguments.command == "quickstart":
        return run_quickstart(arguments.beam_flags)
    if arguments.command == "verify":
        # It imports numpy: only when something is verified.
        from beam_pipeline.commands.verify import run_verify  # noqa: PLC0415

        overrides = arguments.overrides
        return run_verify(
            str(arguments.path), repair=REPAIR in overrides, profile=overrides.get(PROFILE)
        )
    return _run_or_plan(arguments)


def _slurm(words: list[str]) -> int:
    # What follows "--" belongs to the command that is submitted.
    own = words[: words.index("--")] if "--" in words else words
    from beam_pipeline.commands.slurm import run_slurm  # noqa: PLC0415
    from beam_pipeline.commands.slurm_help import slurm_help  # noqa: PLC0415

    if any(word in ("--help", "-h", "help") for word in own):
        print(slurm_help(own[0]))
        return EXIT_OK
    return run_slurm(words)


def _run_or_plan(arguments: Arguments) -> int:
    config = configured(arguments)
    if config.run.verbose:
        logging.getLogger().setLevel(logging.DEBUG)
    if arguments.command == "plan" or config.run.dry_run:
        from beam_pipeline.commands.plan import run_plan  # noqa: PLC0415

        return _run(config, run_plan, sends_output=False)
    # Beam takes two seconds to import: only when something runs.
    from beam_pipeline.run import run_pipeline  # noqa: PLC0415

    def run(config: AnyConfig) -> int:
        return run_pipeline(config.pipeline, config, beam_flags=arguments.beam_flags)

    return _run(config, run)


def _run(config: AnyConfig, run: Callable[[AnyConfig], int], *, sends_output: bool = True) -> int:
    if isinstance(config, ShardConfig | RecaptionConfig) or not config.presigned.is_given:
        return run(config)
    # Only here something speaks to the web.
    from beam_pipeline.preparation.archives import run_with_archives  # noqa: PLC0415

    return run_with_archives(config, run, sends_output=sends_output)


def _complain(error: CurateError) -> None:
    print(f"beam-curate: {without_queries(str(error))}", file=sys.stderr)
    _logger.debug("raised here:", exc_info=error)


@contextmanager
def _ending_on_signals() -> Iterator[None]:
    is_ending = False

    def end(number: int, _frame: FrameType | None) -> None:
        nonlocal is_ending
        # Schedulers repeat it: what the first one began, cancelling and cleaning up, goes on.
        if is_ending and number == signal.SIGTERM:
            return
        is_ending = True
        raise InterruptionError

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # What is ignored stays so: a shell does that for what it starts in the background.
    numbers = [
        number
        for number in (signal.SIGINT, signal.SIGTERM)
        if signal.getsignal(number) is not signal.SIG_IGN
    ]
    before = {number: signal.signal(number, end) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
