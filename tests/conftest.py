"""What all tests share: no network, no telemetry, the same examples on every run."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from browser import IS_THERE, Browser, start_browser
from faults import Row, name_of, read_rows, write_rows
from hydra.core.global_hydra import GlobalHydra

from sola.config import compose as compose_config

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # tiny tensors: threads only wait for each other
os.environ.setdefault("WANDB_MODE", "offline")
os.environ.setdefault("WANDB_SILENT", "true")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # shells start background jobs deaf to Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)  # programs inherit this from us

hypothesis.settings.register_profile("sola", deadline=None, derandomize=True, max_examples=50)
hypothesis.settings.load_profile("sola")


FOUND_ROWS = pytest.StashKey[list[Row]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """--write-faults."""
    parser.addoption(
        "--write-faults", action="store_true", help="write docs/faults.md, not compare with it"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Begins with no rows."""
    config.stash[FOUND_ROWS] = []


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Writes the rows of the tests that passed."""
    if session.config.getoption("--write-faults"):
        write_rows(list(dict.fromkeys(session.config.stash[FOUND_ROWS])))


@pytest.fixture
def fault(request: pytest.FixtureRequest) -> Callable[..., None]:
    """``fault("Training", "a kill", "it resumes", "nothing")``: the last line of a test.

    A row of docs/faults.md: what the test did, saw and found lost.
    """
    assert request.node.get_closest_marker("fault"), "mark the test: @pytest.mark.fault"

    def note(title: str, what: str, happened: str, lost: str = "nothing") -> None:
        name = name_of(request.path, request.node.originalname)
        row = Row(title, what, happened, lost, name)
        if request.config.getoption("--write-faults"):
            request.config.stash[FOUND_ROWS].append(row)
        else:
            assert row in read_rows(), "docs/faults.md says something else: make faults"

    return note


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests marked gpu on a machine without one (torch is asked only when there are any)."""
    gpu_items = [item for item in items if item.get_closest_marker("gpu")]
    if not gpu_items:
        return
    import torch

    if not torch.cuda.is_available():
        for item in gpu_items:
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.fixture
def compose(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """``compose("train", "dataset=mevis", ...)``: the typed configuration of an entry point.

    Data and output folders lie in tmp_path.
    """

    def compose(entry: str, *overrides: str) -> Any:
        folders = [f"data_root={tmp_path / 'data'}", f"paths.output_dir={tmp_path / 'output'}"]
        return compose_config(entry, [*folders, *overrides])

    yield compose
    GlobalHydra.instance().clear()


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A simulated GPU, see tests/pretend_gpu.py; what a Trainer sets for GPUs is undone."""
    import torch
    from pretend_gpu import PretendGpu

    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # of Lightning's deterministic mode
    with PretendGpu() as gpu:
        yield gpu
    torch.use_deterministic_algorithms(False)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A headless Chromium; without one the test skips, or fails where SOLA_NEEDS_BROWSER is set."""
    if not IS_THERE:
        missing = "needs chromium and chromedriver: make browser installs them"
        pytest.fail(missing) if os.environ.get("SOLA_NEEDS_BROWSER") else pytest.skip(missing)
    with start_browser(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture
def wandb_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of W&B leaves the machine, and its folders are those that a run chooses."""
    from sola.visualization.board import WANDB_DIRS  # imports torch: seconds

    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    for name in WANDB_DIRS:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
