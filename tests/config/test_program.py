"""The frame of the entry points, tried with small programs of the tests' own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PROGRAM = """
import logging, os
from sola.config import main
from sola.errors import UserError

def task(config):
    {body}

main("generate", lambda: task)
"""


@pytest.fixture
def run(tmp_path):
    """``run(body, *arguments)``: a program whose task is body, in a folder of its own."""

    def run(body: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        program = tmp_path / "program.py"
        program.write_text(PROGRAM.format(body=body))
        arguments = arguments or ("split=train", "seed=7")
        return subprocess.run(
            [sys.executable, str(program), *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run


def assert_one_message(done: subprocess.CompletedProcess[str], start: str) -> None:
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {start}")
    assert done.stderr.count("\n") == 1


def test_task_gets_the_built_configuration_in_the_users_folder(run, tmp_path):
    done = run("print(type(config).__name__, config.seed, os.getcwd(), config.paths.output_dir)")

    assert done.returncode == 0, done.stderr
    name, seed, folder, output_dir = done.stdout.split()
    assert (name, seed, folder) == ("GenerateConfig", "7", str(tmp_path))
    assert Path(output_dir).parent == tmp_path / "outputs" / "generate"
    assert (Path(output_dir) / ".hydra" / "config.yaml").is_file()


def test_messages_go_to_the_console_and_to_the_folder_of_the_run(run, tmp_path):
    done = run("logging.getLogger('sola').info('here')", "split=train", "hydra.run.dir=out")

    assert done.stderr.endswith("INFO here\n")
    assert done.stderr.count("\n") == 1
    assert "here" in (tmp_path / "out" / "generate.log").read_text()


@pytest.mark.parametrize(
    ("body", "start"),
    [
        ("raise UserError('x.pt: not found. Run train.py.')", "x.pt: "),
        ("open('nowhere.json')", "nowhere.json: "),
        ("raise OSError(28, 'No space left on device', 'a.h5')", "a.h5: "),
    ],
)
def test_mistake_of_the_user_is_one_line_and_status_1(run, body, start):
    assert_one_message(run(body), start)


@pytest.mark.parametrize(
    ("arguments", "start"),
    [
        (["split=train", "hydra.run.dir=/proc/nowhere"], "/proc/nowhere: "),
        (["split=train", "hydra.run.dir=program.py/out"], "program.py/out: "),
        (["split=train", "--config-dir", "nowhere"], "Additional config directory "),
        ([], "split: "),
    ],
)
def test_mistake_before_the_task_is_one_line_and_status_1(run, arguments, start):
    done = run("print('ran')", *(arguments or ["seed=1"]))

    assert_one_message(done, start)
    assert "ran" not in done.stdout


@pytest.mark.parametrize("body", ["raise ValueError('a bug')", "{}['a bug']", "assert 0, 'a bug'"])
def test_bug_keeps_its_traceback(run, body):
    done = run(body)

    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "a bug" in done.stderr


def test_job_of_a_sweep_that_fails_leaves_the_others_and_status_1(run):
    done = run(
        "print('seed', config.seed); config.seed or open('x')", "split=train", "seed=0,1", "-m"
    )

    assert done.returncode == 1
    assert done.stdout.count("seed") >= 2
    assert "error: split=train seed=0: x: " in done.stderr
