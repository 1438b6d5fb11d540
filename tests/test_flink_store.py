"""``curate`` on a real Flink cluster with input and output in a real object store."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from flink_cluster import running_cluster
from store_runs import RAW_NAMES, Places, local_trees, make_raw, stored_trees
from store_servers import LIST, OTHER, OWNER, READ, S3Server, profiles_file
from store_worlds import s3_behind_proxy

pytestmark = [pytest.mark.cluster, pytest.mark.store]

ID_ROOT = "s3://source-of-ids/raw"


def test_flink_works_from_and_to_a_store_with_accounts_of_the_run_alone(
    s3_server: S3Server, tmp_path: Path
) -> None:
    raw = make_raw(tmp_path / "raw")
    home = Places(str(raw), str(tmp_path / "home"), tmp_path / "home-scratch")
    assert home.curate("--id_root", ID_ROOT).status == 0
    with (
        s3_behind_proxy(tmp_path, s3_server) as store,
        running_cluster(tmp_path / "cluster") as cluster,
    ):
        source = store.new_root()
        for name in RAW_NAMES:
            store.put(f"{source}/raw/{name}", (raw / name).read_bytes())
        s3_server.allow(source.split("/")[2], READ + LIST)
        address = s3_server.address
        profiles = {"reader": (OTHER, address), "writer": (OWNER, address)}
        # The TaskManagers know nothing of it: their workers learn it from the run.
        file = profiles_file(tmp_path / "creds", profiles)
        places = Places(
            f"{source}/raw",
            f"{store.new_root()}/runs",
            tmp_path / "scratch",
            {"COSMOS_S3_PROFILE_PATH": str(file)},
            (
                *("--id_root", ID_ROOT),
                *("--input_s3_profile_name=reader", "--output_s3_profile_name=writer"),
            ),
        )
        ended = places.curate(*cluster.flags, "--perf_profile")
        assert ended.status == 0, ended.err
        objects = store.objects(places.root)
    trees = local_trees(home)
    assert stored_trees(places, objects, tmp_path / "got") == trees
    counters = json.loads(objects["processed/performance_stats_0.json"])["counters"]
    num_clips = sum("/metas/v0/" in rel for rel in trees)
    assert counters["clips_written"] == counters["clips_cut"] == num_clips > 0
    assert not [key for key in objects if "/running/" in key]
