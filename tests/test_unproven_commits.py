"""What a killed run, or somebody else, left of a clip is checked before it counts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from make_video import VideoSpec, make_video
from run_command import Curated

STRIDE = (
    "--splitting_algorithm",
    "fixed-stride",
    "--fixed_stride_split_duration",
    "2",
    "--motion_filter",
    "score-only",
)
RECORD = "processed_clip_chunks/a.mp4_0.json"


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Curated:
    """Return a finished run of one video of two clips; a test that damages it mends it."""
    folder = tmp_path_factory.mktemp("unproven")
    (folder / "raw").mkdir()
    make_video(folder / "raw" / "a.mp4", VideoSpec(seconds=4, size=(320, 256)))
    run = Curated.below(folder, folder / "raw")
    assert run.curate(*STRIDE, "--generate_previews") == 0
    return run


def first_clip(run: Curated) -> Path:
    return sorted((run.out / "clips").iterdir())[0]


def clips_of(run: Curated) -> dict[str, str]:
    """Return what must not differ of the split half: frozen shards keep what they hold."""
    return {rel: digest for rel, digest in run.trees().items() if rel.startswith("out/")}


def truncate(run: Curated) -> None:
    path = first_clip(run)
    path.write_bytes(path.read_bytes()[:-100])


def flip(run: Curated) -> None:
    path = first_clip(run)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def lose(run: Curated) -> None:
    first_clip(run).unlink()


def leave_strays(run: Curated) -> None:
    clip = first_clip(run)
    (run.out / "filtered_clips").mkdir(exist_ok=True)
    (run.out / "filtered_clips" / clip.name).write_bytes(b"of a worker that decided otherwise")
    (run.out / "previews" / clip.stem / "9_99.webp").write_bytes(b"likewise")


def forget_commit(run: Curated) -> None:
    """As a kill between mp4 and metadata."""
    (run.out / "metas" / "v0" / f"{first_clip(run).stem}.json").unlink()


def forget_commit_of_other_bytes(run: Curated) -> None:
    forget_commit(run)
    leave_strays(run)
    flip(run)


@pytest.mark.parametrize(
    "damage",
    [truncate, flip, lose, leave_strays, forget_commit, forget_commit_of_other_bytes],
    ids=lambda damage: damage.__name__,
)
def test_a_chunk_without_a_record_trusts_no_clip(
    done: Curated, damage: Callable[[Curated], None]
) -> None:
    expected = done.trees()
    damage(done)
    (done.out / RECORD).unlink()
    assert done.trees() != expected
    assert done.curate(*STRIDE, "--generate_previews") == 0
    assert done.trees() == expected


@pytest.mark.parametrize("damage", [truncate, flip], ids=lambda damage: damage.__name__)
def test_a_clip_damaged_before_a_later_stage_is_cut_again(
    done: Curated, tmp_path: Path, damage: Callable[[Curated], None]
) -> None:
    run = Curated.below(tmp_path, done.raw)
    assert run.curate(*STRIDE) == 0
    damage(run)
    assert run.curate(*STRIDE, "--generate_previews") == 0
    assert clips_of(run) == clips_of(done)


def test_previews_come_back_with_a_clip_that_is_kept_again(done: Curated, tmp_path: Path) -> None:
    def curate(threshold: str) -> int:
        scored = ("--motion_filter", "enable", "--motion_global_mean_threshold", threshold)
        small = ("--motion_per_patch_min_256_threshold", "0", "--accept_changes", "--reshard")
        return run.curate(*STRIDE[:4], *scored, *small, "--generate_previews")

    def previews() -> list[str]:
        return sorted(path.name for path in (run.out / "previews").rglob("*.webp"))

    run = Curated.below(tmp_path, done.raw)
    assert curate("0") == 0
    made = previews()
    assert len(made) == 2
    assert curate("9") == 0
    assert previews() == []
    assert all("previews" not in meta["stages"] for meta in run.metas().values())
    assert curate("0") == 0
    assert previews() == made
    assert all(len(meta["previews"]) == 1 for meta in run.metas().values())
