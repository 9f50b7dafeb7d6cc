"""What a generation logs, read back from the file that W&B would show."""

from pathlib import Path
from typing import Any

import av
import pytest
from commands import run_command
from small_runs import small_run
from wandb_file import read_runs

from sola.shards import ShardReader

pytestmark = pytest.mark.usefixtures("wandb_offline")


def generate(tmp_path: Path, *more: str) -> Path:
    words = [*small_run(3), "prompt_source=grid", f"data_root={tmp_path / 'data'}", *more]
    outcome = run_command("generate.py", *words, f"hydra.run.dir={tmp_path / 'run'}")
    assert outcome.status == 0, outcome.errors
    return tmp_path / "data" / "tracks" / "moving_shapes" / "train" / "grid" / "small"


def test_offline_run_holds_rates_rules_and_tracks_of_videos(tmp_path: Path) -> None:
    reader = ShardReader(generate(tmp_path, "logger=wandb", "dashboard.num_examples=2"))
    (run,) = read_runs(tmp_path / "run")
    counts = {video_id: reader.num_tracks(video_id) for video_id in reader.videos}
    total = sum(counts.values())

    last: dict[str, Any] = {}
    for row in run.history:
        last |= row
    assert run.run.job_type == "generate"
    assert sorted(run.column("video/tracks")) == sorted(counts.values())
    assert (last["generate/videos"], last["generate/frames"]) == (3, 9)
    assert last["generate/tracks"] == total > 0
    assert last["generate/tracks_per_s"] / last["generate/videos_per_s"] == pytest.approx(total / 3)
    dropped = ("empty", "not_kept", "duplicates", "over_cap")
    assert last["generate/found"] - sum(last[f"generate/{rule}"] for rule in dropped) == total
    examples = run.table(last["generate/examples"])
    assert {row["video"]: row["tracks"] for row in examples}.items() <= counts.items()
    videos = [run.folder / "files" / m["path"] for m in run.media() if m["path"].endswith(".mp4")]
    assert len(videos) == 2
    for path in videos:
        with av.open(str(path)) as video:
            assert sum(1 for _ in video.decode(video=0)) == 3


@pytest.mark.parametrize("logger", [None, "csv", "tensorboard"])
def test_other_loggers_write_only_their_files(tmp_path: Path, logger: str | None) -> None:
    generate(tmp_path, *([f"logger={logger}"] if logger else []))

    left = {path.name for path in (tmp_path / "run").iterdir()} - {".hydra", "generate.log"}
    assert left == {None: set(), "csv": {"metrics.csv", "hparams.yaml"}}.get(logger, {logger})


def test_finished_run_logs_no_metrics(tmp_path: Path) -> None:
    generate(tmp_path)
    generate(tmp_path, "logger=wandb")

    assert not (tmp_path / "run" / "wandb").exists()
