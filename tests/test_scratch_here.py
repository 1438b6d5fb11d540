"""On a worker all local files lie in the scratch folder of its own machine."""

from __future__ import annotations

from pathlib import Path

import pytest
from store_servers import OWNER, S3Server, profiles_file

from transforms.clips.local_index import local_index
from transforms.clips.source_copies import local_source, sources_folder
from transforms.run_context import RunContext
from transforms.scratch import HERE_VARIABLE
from transforms.storage.open_storage import storage_for
from transforms.storage.routes import StorageRoute

pytestmark = pytest.mark.store


def test_copies_of_sources_and_indexes_lie_on_the_worker_s_own_machine(
    s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = f"s3://{s3_server.new_bucket()}"
    file = profiles_file(tmp_path / "creds", {"here": (OWNER, s3_server.address)})
    driver, worker = tmp_path / "driver", tmp_path / "worker"
    context = RunContext(
        root=f"{bucket}/out",
        run_id="run",
        scratch=str(driver),
        progress_folder=str(tmp_path / "progress"),
        stages=(),
        spans_fingerprint="0" * 16,
        routes=(StorageRoute(bucket, "here", str(file)),),
    )
    storage_for(bucket).write(f"{bucket}/raw/a.mp4", b"a video")
    monkeypatch.setenv(HERE_VARIABLE, str(worker))
    with local_source(f"{bucket}/raw/a.mp4", sources_folder(context)) as path:
        assert path.read_bytes() == b"a video"
        assert path.is_relative_to(worker)
    assert Path(local_index(context, "uuid")).is_relative_to(worker)
    assert not driver.exists()
