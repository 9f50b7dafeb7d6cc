"""Runs the blocks of a page that are marked with ``<!-- run -->``, in order.

    python docs/site/run_commands.py docs/quickstart.md

From the root of the repository, with the Python that runs this; ends with the first that fails.
"""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

BLOCK = re.compile(r"^<!-- run -->\n```bash\n(.*?)^```", re.MULTILINE | re.DOTALL)


def main() -> None:
    """Runs every block of the pages that the command line names."""
    blocks = [block for name in sys.argv[1:] for block in BLOCK.findall(Path(name).read_text())]
    if not blocks:
        sys.exit(f"{' '.join(sys.argv[1:])}: no block is marked with <!-- run -->")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for block in blocks:
        print(block, flush=True)
        start = time.monotonic()
        subprocess.run(["bash", "-euxc", block], env=os.environ | {"PATH": path}, check=True)
        print(f"took {time.monotonic() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
