"""Captions by a model in the workers of a real Flink cluster. Needs torch, too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flink_cluster import FlinkCluster, running_cluster
from make_video import VideoSpec, make_video
from model_packages import NEEDS_TRANSFORMERS
from run_command import Curated
from wrong_use import use_process

pytestmark = [
    pytest.mark.cluster,
    *NEEDS_TRANSFORMERS,
]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlinkCluster]:
    with running_cluster(tmp_path_factory.mktemp("flink") / "cluster") as cluster:
        yield cluster


def test_captions_on_flink_are_those_at_home(
    tmp_path: Path, cluster: FlinkCluster, tiny_model: Callable[[str], Path]
) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    for number, size in enumerate([(64, 48), (96, 64)]):
        make_video(raw / f"{number}.mp4", VideoSpec(seconds=4, size=size))
    options = (
        *("--splitting_algorithm", "fixed-stride", "--no-predict"),
        *("--fixed_stride_split_duration", "2", "--captioning_window_size", "32"),
        *("--captioning_remainder_threshold", "8", "--clip_re_chunk_size", "1"),
        *("--generate_captions", "true", "--captioning_max_output_tokens", "6"),
        *("--captioning_model", tiny_model("qwen2_5_vl")),
    )
    trees = []
    for name, flags in (("home", ()), ("flink", cluster.flags)):
        run = Curated.below(tmp_path / name, raw)
        paths = ("--input_video_path", raw, "--output_clip_path", run.out)
        ended = use_process("curate", *paths, *options, *flags)
        assert ended.status == 0, ended.err
        metas = run.metas().values()
        windows = [window for meta in metas for window in meta["windows"]]
        assert len(windows) == 8
        assert all(window["qwen_caption"] for window in windows)
        trees.append(run.trees())
    assert trees[1] == trees[0]
