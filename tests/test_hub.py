"""Weights from a hub on loopback: fetched once, resumed, and refused with what to do."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import ROOT
from fake_hub import FakeHub, serve

FIND = """
import sys
from sola.errors import UserError
from sola.hub import find_weights
try:
    print(find_weights(sys.argv[1], "tracker.checkpoint"))
except UserError as error:
    sys.exit(str(error))
"""
WEIGHTS = os.urandom(200_000)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[FakeHub]:
    model = tmp_path / "hub" / "facebook" / "sam"
    model.mkdir(parents=True)
    (model / "sam.pt").write_bytes(WEIGHTS)
    (model / "config.json").write_text("{}")
    (model / "model.safetensors").write_bytes(WEIGHTS[:1000])
    (model / "README.md").write_text("not needed")
    with serve(tmp_path / "hub") as hub:
        yield hub


def find(hub: FakeHub, location: str, **environment: str) -> subprocess.CompletedProcess[str]:
    own = {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(hub.root.parent / "home"),
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "PYTHONPATH": str(ROOT),
    }
    return subprocess.run(
        [sys.executable, "-c", FIND, location],
        env=os.environ | own | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_file_is_downloaded_once_and_then_found_without_a_request(hub: FakeHub) -> None:
    first = find(hub, "hf://facebook/sam/sam.pt")
    assert first.returncode == 0, first.stderr
    assert Path(first.stdout.strip()).read_bytes() == WEIGHTS
    hub.requests.clear()

    again = find(hub, "hf://facebook/sam/sam.pt")

    assert again.stdout == first.stdout
    assert hub.requests == []


def test_repository_is_a_folder_of_the_files_that_transformers_reads(hub: FakeHub) -> None:
    first = find(hub, "facebook/sam")
    assert first.returncode == 0, first.stderr
    names = {path.name for path in Path(first.stdout.strip()).iterdir()}
    assert names == {"config.json", "model.safetensors"}
    hub.requests.clear()

    assert find(hub, "facebook/sam", HF_HUB_OFFLINE="1").stdout == first.stdout
    assert hub.requests == []


def test_cut_download_is_resumed(hub: FakeHub) -> None:
    content = os.urandom(12 << 20)  # huggingface_hub writes 10 MiB at a time
    (hub.root / "facebook/sam/large.pt").write_bytes(content)
    hub.cut["large.pt"] = 11 << 20

    found = find(hub, "hf://facebook/sam/large.pt")

    assert Path(found.stdout.strip()).read_bytes() == content
    assert any(asked == f"bytes={10 << 20}-" for _, _, asked in hub.requests), hub.requests


@pytest.mark.parametrize(
    ("location", "environment", "words"),
    [
        ("hf://facebook/sam/other.pt", {}, "no such file"),
        ("hf://facebook/none/sam.pt", {}, "no such repository"),
        ("hf://facebook/sam@v9/sam.pt", {}, "revision v9"),
        ("hf://facebook/sam/sam.pt", {"HF_HUB_OFFLINE": "1"}, "sola download"),
        ("hf://facebook/sam/sam.pt", {"HF_ENDPOINT": "http://127.0.0.1:9"}, "sola download"),
        ("hf://", {}, "not an address"),
        ("package:sola_none", {}, "pip install sola-none"),
        ("pkg://sola_none/x.pt", {}, "pip install sola-none"),
    ],
)
def test_missing_weights_are_one_message_with_a_fix(
    hub: FakeHub, location: str, environment: dict[str, str], words: str
) -> None:
    found = find(hub, location, **environment)

    assert found.returncode == 1
    last = found.stderr.strip().splitlines()[-1]
    assert last.startswith(f"tracker.checkpoint={location}: "), found.stderr
    assert words in last


def test_gated_repository_is_read_with_a_token(hub: FakeHub) -> None:
    hub.gated.add("facebook/sam")

    refused = find(hub, "hf://facebook/sam/sam.pt")
    assert "hf auth login" in refused.stderr
    assert f"{hub.url}/facebook/sam" in refused.stderr

    assert find(hub, "hf://facebook/sam/sam.pt", HF_TOKEN="hf_x").returncode == 0
