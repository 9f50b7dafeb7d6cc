"""Weights from a hub on loopback: fetched once, resumed, and refused with what to do."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_hub import FakeHub, serve

FIND = """
import json, sys
from sola.errors import UserError
from sola.hub import find_weights
def find(location):
    try:
        return str(find_weights(location, "tracker.checkpoint"))
    except UserError as error:
        return str(error)
print(json.dumps([find(location) for location in sys.argv[1:]]))
"""
WEIGHTS = os.urandom(200_000)
FILE, REPOSITORY = "hf://facebook/sam/sam.pt", "facebook/sam"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[FakeHub]:
    model = tmp_path / "hub" / "facebook" / "sam"
    model.mkdir(parents=True)
    (model / "sam.pt").write_bytes(WEIGHTS)
    (model / "config.json").write_text("{}")
    (model / "model.safetensors").write_bytes(WEIGHTS[:1000])
    (model / "vocab.txt").write_text("a")
    (model / "README.md").write_text("not needed")
    with serve(tmp_path / "hub") as hub:
        yield hub


def find(hub: FakeHub, *locations: str, **environment: str) -> list[str]:
    """The path or the message of each location, from one process."""
    done = subprocess.run(
        [sys.executable, "-c", FIND, *locations],
        env=hub.environment(**environment),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


def test_weights_are_downloaded_once_and_then_found_without_a_request(hub: FakeHub) -> None:
    first = find(hub, FILE, REPOSITORY, "https://huggingface.co/facebook/sam/blob/main/sam.pt")
    assert Path(first[0]).read_bytes() == WEIGHTS, first
    assert {path.name for path in Path(first[1]).iterdir()} >= {"config.json", "model.safetensors"}
    assert not Path(first[1], "README.md").exists()
    assert first[2] == first[0]
    hub.requests.clear()

    assert find(hub, FILE, REPOSITORY) == first[:2]
    assert hub.requests == []
    assert find(hub, FILE, REPOSITORY, HF_HUB_OFFLINE="1") == first[:2]
    assert hub.requests == []


def test_repository_of_which_files_are_missing_is_fetched_again(hub: FakeHub) -> None:
    (folder,) = find(hub, REPOSITORY)
    Path(folder, "vocab.txt").unlink()  # as if another program had fetched only the weights

    assert find(hub, REPOSITORY) == [folder]
    assert Path(folder, "vocab.txt").exists()


def test_missing_weights_are_one_message_with_a_fix(hub: FakeHub) -> None:
    words = {
        "hf://facebook/sam/other.pt": "no such file",
        "hf://facebook/none/sam.pt": "no such repository",
        "facebook/none": "no such repository",
        "hf://facebook/sam@v9/sam.pt": "revision v9",
        "hf://": "not the address",
        "https://example.com/sam.pt": "not the address",
        "hf://datasets/own/pt/w.pt": "not the address of a model",
        "package:json": "pip install json",
        "package:sola_none": "pip install sola-none",
        "pkg://sola_none/x.pt": "pip install sola-none",
    }
    for location, message in zip(words, find(hub, *words), strict=True):
        assert message.startswith(f"tracker.checkpoint={location}: "), message
        assert words[location] in message


def test_offline_without_a_cache_says_how_to_fetch_and_asks_nothing(hub: FakeHub) -> None:
    for message in find(hub, FILE, REPOSITORY, HF_HUB_OFFLINE="1"):
        assert "HF_HUB_OFFLINE=1" in message
        assert "sola download" in message
    assert hub.requests == []


@pytest.mark.slow
def test_hub_that_does_not_answer_is_named(hub: FakeHub) -> None:
    for message in find(hub, FILE, HF_ENDPOINT="http://127.0.0.1:9"):
        assert "no answer of http://127.0.0.1:9/facebook/sam" in message
        assert "sola download" in message


@pytest.mark.slow
def test_cut_download_is_resumed(hub: FakeHub) -> None:
    content = os.urandom(12 << 20)  # huggingface_hub writes 10 MiB at a time
    (hub.root / "facebook/sam/large.pt").write_bytes(content)
    hub.cut["large.pt"] = 11 << 20

    (found,) = find(hub, "hf://facebook/sam/large.pt")

    assert Path(found).read_bytes() == content
    assert any(asked == f"bytes={10 << 20}-" for _, _, asked in hub.requests), hub.requests


@pytest.mark.slow
def test_download_that_is_always_cut_is_one_message(hub: FakeHub) -> None:
    hub.broken |= {"sam.pt", "model.safetensors"}
    for message in find(hub, FILE, REPOSITORY):
        assert "download failed" in message
        assert message.endswith("Run it again.")
        assert "\n" not in message


@pytest.mark.slow
@pytest.mark.parametrize(
    ("location", "name"), [(FILE, "sam.pt"), (REPOSITORY, "model.safetensors")]
)
def test_killed_download_is_fetched_again(hub: FakeHub, location: str, name: str) -> None:
    hub.stalled[name] = 500
    command = [sys.executable, "-c", FIND, location]
    with subprocess.Popen(command, env=hub.environment(), stderr=subprocess.DEVNULL) as killed:
        assert hub.waits.wait(60)
        killed.kill()
    hub.stalled.clear()
    hub.go_on.set()

    (offline,) = find(hub, location, HF_HUB_OFFLINE="1")
    assert "sola download" in offline
    (found,) = find(hub, location)

    file = Path(found, name) if location == REPOSITORY else Path(found)
    assert file.read_bytes() == (hub.root / "facebook/sam" / name).read_bytes()


@pytest.mark.slow
def test_gated_repository_is_read_with_a_token(hub: FakeHub) -> None:
    hub.gated.add("facebook/sam")

    for message in find(hub, FILE, REPOSITORY):
        assert "hf auth login" in message
        assert f"{hub.url}/facebook/sam" in message

    file, folder = find(hub, FILE, REPOSITORY, HF_TOKEN="hf_x")
    assert Path(file).read_bytes() == WEIGHTS
    assert Path(folder).is_dir()


@pytest.mark.slow
def test_full_disk_is_named_and_nothing_is_kept(hub: FakeHub, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(small)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("needs permission to mount a file system")
    try:
        (message,) = find(hub, FILE, HF_HOME=str(small))
        left = [path for path in small.rglob("*") if path.is_file() and path.stat().st_size > 1000]
    finally:
        subprocess.run(["umount", str(small)], check=True)

    assert "No space left on device" in message
    assert "HF_HOME" in message
    assert left == []
