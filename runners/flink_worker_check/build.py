"""Makes ``WorkerCheck.jar``: ``python -m runners.flink_worker_check.build FLINK_HOME/lib [JAR]``.

The jar is four kilobytes and lies beside its source, as machines that submit have no Java compiler.
Equal sources and compilers give equal bytes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCE = HERE / "WorkerCheck.java"
JAR = HERE / "WorkerCheck.jar"
_JAVA = "8"
"""What Flink 1.x still runs on."""
_EPOCH = (1980, 1, 1, 0, 0, 0)


def build(flink_lib: str | os.PathLike[str], jar: Path = JAR) -> None:
    """Compile the source against a Flink and write the jar.

    Args:
        flink_lib: The folder with Flink's jars.
        jar: The file to write.

    Raises:
        CalledProcessError: It cannot be compiled.
    """
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [
                *("javac", "--release", _JAVA, "-nowarn", "-g:none", "-Xlint:-options"),
                *("-cp", f"{os.fspath(flink_lib)}/*", "-d", folder, os.fspath(SOURCE)),
            ],
            check=True,
        )
        with zipfile.ZipFile(jar, "w") as archive:
            for path in sorted(Path(folder).rglob("*.class")):
                entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), _EPOCH)
                entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry, path.read_bytes())


if __name__ == "__main__":
    build(sys.argv[1], *(Path(path) for path in sys.argv[2:3]))
