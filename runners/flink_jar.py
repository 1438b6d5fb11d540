"""Beam's job server for Flink: where its jar is, and for which Flink it was made."""

from __future__ import annotations

import os
import re
import zipfile
from pathlib import Path

from transforms.errors import PreflightError

POM = Path(__file__).resolve().parent / "flink_job_server" / "pom.xml"
"""Builds the jar from what Maven Central has; for Flink 1.19."""
BUILT = Path("~/.cache/beam-curate/flink-job-server")
"""Where that build puts it."""
BEAM_CACHE = Path("~/.apache_beam/cache/jars")
"""Where Beam keeps what it downloads."""
_VERSION_FILE = ".flink-runtime.version.properties"
_MINOR = re.compile(r"\d+\.\d+")


def minor_version(version: str) -> str:
    """Return what cluster and jar must agree in.

    Example:
        >>> minor_version("1.19.3")
        '1.19'
    """
    match = _MINOR.match(version)
    return match.group() if match else version


def flink_of_jar(jar: Path) -> str:
    """Return the Flink, such as ``1.19``, that a job server's jar was made for.

    Raises:
        PreflightError: It is no such jar.
    """
    try:
        with zipfile.ZipFile(jar) as archive:
            text = archive.read(_VERSION_FILE).decode()
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise PreflightError(
            f"{jar}: is not the jar of Beam's job server for Flink ({error}); name another one "
            "with --flink_job_server_jar"
        ) from error
    found = re.search(r"^project\.version=(.+)$", text, re.MULTILINE)
    return minor_version(found.group(1)) if found else "unknown"


def find_jar(flink_version: str, *, named: str | None, cache_dir: str | None) -> str | None:
    """Return the jar for a Flink; None when only Beam's download can bring one.

    Searched in this order: the one that is named, Beam's cache, the one that our build made.

    Args:
        flink_version: Minor version, such as ``1.19``.
        named: Value of ``--flink_job_server_jar``: a path, or an URL that Beam downloads.
        cache_dir: Value of ``--jar_cache_dir``.

    Raises:
        PreflightError: The named one is not there, or is made for another Flink.
    """
    if named:
        return named if re.match(r"[a-z][a-z0-9+.-]+://", named) else _checked(named, flink_version)
    name = f"beam-runners-flink-{flink_version}-job-server-*.jar"
    cached = sorted(Path(cache_dir or BEAM_CACHE).expanduser().glob(name))
    built = sorted(BUILT.expanduser().glob("*.jar"))
    fitting = [jar for jar in [*reversed(cached), *built] if flink_of_jar(jar) == flink_version]
    return str(fitting[0]) if fitting else None


def how_to_get_one(flink_version: str) -> str:
    """Return what to do when there is no jar."""
    build = f"mvn -B -f {POM} package"
    ways = "name one with --flink_job_server_jar"
    if flink_version == "1.19":
        return f"build it with `{build}` (Java and Maven, two minutes), or {ways}"
    return (
        f"{ways}: Beam publishes beam-runners-flink-{flink_version}-job-server on Maven Central "
        f"(`{build}` makes one for Flink 1.19 alone)"
    )


def _checked(named: str, flink_version: str) -> str:
    jar = Path(named).expanduser()
    if not jar.is_file():
        raise PreflightError(
            f"--flink_job_server_jar={named}: there is no such file; "
            f"{how_to_get_one(flink_version)}"
        )
    made_for = flink_of_jar(jar)
    if made_for != flink_version:
        raise PreflightError(
            f"--flink_job_server_jar={named}: is made for Flink {made_for}, the cluster is Flink "
            f"{flink_version}; {how_to_get_one(flink_version)}"
        )
    return os.fspath(jar.absolute())
