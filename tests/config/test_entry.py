"""The frame of the entry points, tried with small programs of the tests' own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import logging, os
from sola.config import main, validate
from sola.config.schema import GenerateConfig

def task(config):
    {body}

main("generate", GenerateConfig, task)
"""


@pytest.fixture
def run(tmp_path):
    """``run(body, *arguments)``: a program whose task is body, in a folder of its own."""

    def run(body: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        program = tmp_path / "program.py"
        program.write_text(PROGRAM.format(body=body))
        arguments = arguments or ("split=train", "seed=7")
        inherited = {k: v for k, v in os.environ.items() if k != "HYDRA_FULL_ERROR"}
        return subprocess.run(
            [sys.executable, str(program), *arguments],
            cwd=tmp_path,
            env={**inherited, "PYTHONPATH": str(ROOT), **environment},
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run


def test_a_task_gets_the_typed_configuration_in_the_users_own_folder(run, tmp_path):
    done = run("print(type(config).__name__, config.seed, os.getcwd(), config.paths.output_dir)")

    assert done.returncode == 0, done.stderr
    name, seed, folder, output_dir = done.stdout.split()
    assert (name, seed, folder) == ("GenerateConfig", "7", str(tmp_path))
    assert Path(output_dir).parent == tmp_path / "outputs" / "generate"
    assert (Path(output_dir) / ".hydra" / "config.yaml").is_file()


def test_messages_go_to_the_console_and_into_the_folder_of_the_run(run, tmp_path):
    done = run("logging.getLogger('sola').info('here')", "split=train", "hydra.run.dir=out")

    assert done.stderr.endswith("INFO here\n")
    assert done.stderr.count("\n") == 1
    assert "here" in (tmp_path / "out" / "generate.log").read_text()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise FileNotFoundError('x.pt: no such file. Run train.py.')", "x.pt: no such file."),
        ("config.seed = 0; config.split = 'no'; validate(config)", "split is 'no'; known are"),
        ("open('nowhere.json')", "nowhere.json: No such file or directory. Correct the path"),
        ("os.mkdir(os.getcwd())", "File exists. A file is where a folder goes"),
        ("raise OSError(28, 'No space left on device', 'a.h5')", "a.h5: No space left on device"),
        ("raise OSError(30, 'Read-only file system', 'out')", "out: Read-only file system. Choose"),
    ],
)
def test_a_users_mistake_is_one_line_and_status_1(run, body, message):
    done = run(body)

    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert message in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--hlep"], "--hlep: there is no such flag. Did you mean --help?"),
        (["split=train", "--cfg", "jobs"], "argument --cfg/-c: invalid choice: 'jobs'"),
        (["split=train", "hydra.run.dir=/proc/nowhere"], "/proc/nowhere"),
        (["split=train", "hydra.run.dir=program.py/out"], "program.py/out"),
    ],
)
def test_a_mistake_before_the_task_is_one_line_and_status_1(run, arguments, message):
    done = run("print('ran')", *arguments)

    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert message in done.stderr
    assert "ran" not in done.stdout


def test_a_users_mistake_shows_its_traceback_when_asked_to(run):
    done = run("raise FileNotFoundError('x.pt')", HYDRA_FULL_ERROR="1")

    assert done.returncode == 1
    assert "Traceback" in done.stderr


@pytest.mark.parametrize("body", ["raise ValueError('a bug')", "{}['a bug']", "assert 0, 'a bug'"])
def test_a_fault_of_the_program_keeps_its_traceback(run, body):
    done = run(body)

    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "a bug" in done.stderr


def test_the_environment_of_a_task_is_that_of_the_user(run):
    assert run("print(os.environ.get('HYDRA_FULL_ERROR'))").stdout == "None\n"
    assert run("print(os.environ['HYDRA_FULL_ERROR'])", HYDRA_FULL_ERROR="0").stdout == "0\n"


def test_a_sweep_runs_every_job_in_a_folder_of_its_own(run):
    done = run("print(config.seed, config.paths.output_dir)", "-m", "split=train", "seed=1,2")

    assert done.returncode == 0, done.stderr
    jobs = [line.split() for line in done.stdout.splitlines() if "HYDRA" not in line]
    assert [seed for seed, _ in jobs] == ["1", "2"]
    assert len({folder for _, folder in jobs}) == 2


def test_a_sweep_goes_on_after_a_users_mistake_and_fails_at_its_end(run):
    done = run("print('ran', config.split)", "-m", "split=no,train")

    assert done.returncode == 1
    assert "ran train" in done.stdout
    assert "error: split=no: split is 'no'; known are train, valid_u." in done.stderr
    assert "Traceback" not in done.stderr


def test_a_saved_configuration_runs_again_with_types_and_rules(run, tmp_path):
    body = "print(type(config.prompt_source).__name__, config.seed)"
    first = run(body, "split=train", "seed=3", "hydra.run.dir=out")
    saved = ["--config-path", str(tmp_path / "out" / ".hydra"), "--config-name", "config"]

    assert run(body, *saved).stdout == first.stdout == "PromptSourceConfig 3\n"
    assert "split is 'no'" in run(body, *saved, "split=no").stderr
