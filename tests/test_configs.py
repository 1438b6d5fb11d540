"""Every file in configs/ loads, is complete and asks for nothing that is not built."""

from __future__ import annotations

from pathlib import Path

import pytest

from beam_pipeline.configuration.config import flat, load_config
from beam_pipeline.configuration.config_files import quickstart_file, read_config_file
from beam_pipeline.configuration.settled import complete, ignored_warning, not_built

CONFIGS = sorted((Path(__file__).resolve().parent.parent / "configs").glob("*.*"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_config_loads_and_can_run(path: Path) -> None:
    file = read_config_file(path)
    config = complete(load_config(str(file.pipeline), file.values, {}))
    assert not_built(config) == []
    assert ignored_warning(config) is None


def test_quickstart_has_ids_that_do_not_depend_on_the_folder() -> None:
    file = read_config_file(quickstart_file())
    values = flat(load_config(str(file.pipeline), file.values, {}))
    assert file.pipeline == "curate"
    assert values["id_root"] == "quickstart://raw"
    assert values["motion_filter"] == "score-only"
