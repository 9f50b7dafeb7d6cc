"""Files that the system refuses to read, for real: no call of the system is replaced."""

import os
import resource
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65534
LINKS = {"EIO": "/proc/self/mem", "ENOENT": "/no/such/disk/file", "ELOOP": "loop"}
"""Where a link leads that fails with an error."""


@contextmanager
def refused(path: Path, how: str) -> Iterator[None]:
    """Make a file fail with an error of the system; it is as before at the end."""
    if how == "EMFILE":
        with few_descriptors(0):
            yield
        return
    away = path.parent / f"away-{path.name}.sound"
    path.rename(away)
    path.symlink_to(path.name if how == "ELOOP" else LINKS[how])
    try:
        yield
        assert path.is_symlink(), "a file that could not be read was replaced"
    finally:
        away.replace(path)


@contextmanager
def few_descriptors(number: int) -> Iterator[None]:
    """Let this process open so many files more."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = [os.dup(0) for _ in range(number + 1)]
    for descriptor in free:
        os.close(descriptor)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(free), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def in_child(task: Callable[[], object], *, as_nobody: bool = False) -> str:
    """Return the result of a task in a forked process, or its error, as text."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if as_nobody and os.getuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            answer = str(task())
        except BaseException as error:
            answer = "".join(traceback.format_exception_only(error))
        os.write(write_end, answer.encode()[:4096])
        os._exit(0)
    os.close(write_end)
    with open(read_end, "rb") as pipe:
        answer = pipe.read().decode()
    os.waitpid(child, 0)
    return answer


def tree(folder: Path) -> dict[str, bytes | None]:
    """Return the content of all files below a folder; None for links."""
    return {
        str(path.relative_to(folder)): None if path.is_symlink() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }
