"""Files inside installed packages, written as ``pkg://package.name/path/in/it``."""

from importlib.resources import files
from pathlib import Path

from sola.errors import UserError

PREFIX = "pkg://"


def path_of(location: str) -> Path:
    """Return the path of a file: of a plain path, or of a resource such as ``pkg://sola.x/y.pt``.

    Raises:
        UserError: if there is no such package. Whether the file exists is not checked.
    """
    if not location.startswith(PREFIX):
        return Path(location)
    package, _, name = location.removeprefix(PREFIX).partition("/")
    try:
        return Path(str(files(package))) / name
    except (ModuleNotFoundError, ValueError, TypeError) as error:
        raise UserError(f"{location}: no installed package {package!r}.") from error
