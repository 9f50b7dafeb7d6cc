"""Files that are there whole or not at all, whenever the process dies."""

import json
import math
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Another name to write a file under, which gets its own when the block ends well.

    Two processes may write the same file at once, also on two machines: the last one's stays.
    Where the block fails, nothing is left of it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{secrets.token_hex(8)}.part")
    try:
        yield unfinished
        unfinished.rename(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file; NaN is refused."""
    with whole_file(path) as unfinished:
        unfinished.write_text(json.dumps(content, indent=1, allow_nan=False))


def plain(value: Any) -> Any:
    """The same in JSON's types; a number that is not finite becomes None."""
    if isinstance(value, dict):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
