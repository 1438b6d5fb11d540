"""Packages: nobody else ships our names, and what is installed runs outside the checkout."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
NAMES = ("beam_pipeline", "transforms", "runners", "configs")
_IMPORT_ALL = """
import importlib, pkgutil
TORCH = {
    "transforms.models.transnetv2_network",
    *(
        f"transforms.models.captions.{name}"
        for name in ("next_token", "text_engine", "transformers_engine", "vision_model")
    ),
}
for name in ("beam_pipeline", "transforms", "runners"):
    package = importlib.import_module(name)
    assert "site-packages" in package.__file__, package.__file__
    for module in pkgutil.walk_packages(package.__path__, name + "."):
        if module.name.endswith("__main__"):
            continue
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            # Modules that are made of torch's classes.
            if module.name not in TORCH or error.name != "torch":
                raise
"""


@pytest.mark.parametrize("name", NAMES)
def test_no_other_distribution_ships_our_package_names(name: str) -> None:
    # pip installs over another distribution's files without a word, and uninstalling that one
    # later deletes ours.
    assert set(importlib.metadata.packages_distributions().get(name, [])) <= {"beam-curate"}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of what a wheel is built from, so that nothing is built in the checkout."""
    copy = tmp_path_factory.mktemp("checkout")
    skip = shutil.ignore_patterns("__pycache__")
    for name in NAMES:
        shutil.copytree(ROOT / name, copy / name, ignore=skip)
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, copy)
    return copy


@pytest.fixture(scope="module")
def sdist(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the source distribution as Beam's Stager builds it for remote workers."""
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.runners.portability.stager import Stager

    staged = tmp_path_factory.mktemp("staged")
    options = PipelineOptions([f"--setup_file={checkout / 'setup.py'}"])
    Stager.create_job_resources(options, str(staged))
    (archive,) = staged.glob("*.tar.gz")
    return archive


@pytest.fixture(scope="module")
def installed(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the ``bin`` folder of an environment in which the sdist is installed.

    Dependencies come from this environment: only our own files are under test.
    """
    home = tmp_path_factory.mktemp("installed")
    venv.create(home / "venv", with_pip=False, symlinks=True)
    (site,) = (home / "venv" / "lib").glob("python*/site-packages")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    python = home / "venv" / "bin" / "python"
    subprocess.run(
        [
            *command,
            "--no-build-isolation",
            "--disable-pip-version-check",
            f"--prefix={home / 'venv'}",
            str(sdist),
        ],
        check=True,
    )
    own = [path for path in sys.path if path.endswith("site-packages")]
    (site / "dependencies.pth").write_text("\n".join(own))
    assert python.exists()
    return python.parent


def test_sdist_carries_packages_and_configs_but_no_tests(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        files = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    assert {"configs/quickstart.yaml", "configs/prompts/traffic.txt"} <= files
    assert {"transforms/records.py", "runners/direct.py"} <= files
    assert {"runners/boot.sh", "runners/flink_job_server/pom.xml"} <= files
    check = "runners/flink_worker_check/WorkerCheck"
    assert {f"{check}.jar", f"{check}.java"} <= files
    assert not [name for name in files if name.startswith("tests/")]


def test_every_module_imports_where_it_is_installed(installed: Path, tmp_path: Path) -> None:
    result = subprocess.run(
        [installed / "python", "-c", _IMPORT_ALL],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr


def test_a_worker_can_be_started_where_it_is_installed(installed: Path, tmp_path: Path) -> None:
    command = "import runners.flink_preset as preset; print(preset.BOOT)"
    found = subprocess.run(
        [installed / "python", "-c", command],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    boot = Path(found.stdout.strip())
    assert boot.is_relative_to(installed.parent)
    assert os.access(boot, os.X_OK)
    assert os.access(installed / "beam-curate-worker", os.X_OK)


def test_console_script_and_quickstart_file_work_outside_the_checkout(
    installed: Path, tmp_path: Path
) -> None:
    # A folder of the user's that is called configs must not be taken for ours.
    (tmp_path / "configs").mkdir()
    version = subprocess.run(
        # The script's first line names the Python that ran pip.
        [installed / "python", installed / "beam-curate", "--version"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert version.stdout.startswith("beam-curate ")
    code = (
        "from beam_pipeline.configuration.config_files import quickstart_file, read_config_file\n"
        "print(read_config_file(quickstart_file()).pipeline, quickstart_file())"
    )
    found = subprocess.run(
        [installed / "python", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert found.stdout.startswith("curate ")
    assert str(installed.parent) in found.stdout


def test_wheel_has_only_our_packages(checkout: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", str(tmp_path), str(checkout)], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
        assert "configs/prompts/traffic.txt" in archive.namelist()
    assert {top for top in tops if not top.endswith(".dist-info")} == set(NAMES)
