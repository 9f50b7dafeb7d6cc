"""A model hub on loopback, in which each folder ``<owner>/<name>`` is a repository."""

import hashlib
import json
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

COMMIT = "0123456789abcdef" * 2 + "01234567"
INFO = re.compile(r"/api/models/([\w-]+/[\w.-]+)(/revision/[^/]+|/tree/[^/]+)?")
FILE = re.compile(r"/([\w-]+/[\w.-]+)/resolve/([^/]+)/(.+)")


class FakeHub:
    """Answers what huggingface_hub asks for.

    Attributes:
        root: folder of the repositories.
        url: for HF_ENDPOINT.
        gated: repositories that need a token.
        requests: method and path of each request so far, with the Range header.
        cut: file name -> bytes after which its next answer breaks off.
        broken: file names whose answers all break off.
        stalled: file name -> bytes after which its answer waits for ``go_on``.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.gated, self.cut = root, set[str](), dict[str, int]()
        self.requests: list[tuple[str, str, str | None]] = []
        self.broken = set[str]()
        self.stalled, self.go_on, self.waits = (
            dict[str, int](),
            threading.Event(),
            threading.Event(),
        )
        self.url = ""

    def environment(self, **changes: str) -> dict[str, str]:
        """Of a program that uses this hub, with a cache beside the repositories."""
        own = {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(self.root.parent / "home"),
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "PYTHONPATH": str(Path(__file__).parents[1]),
            "CI": "1",
        }
        return os.environ | own | changes

    def answer(
        self, path: str, start: int, has_token: bool
    ) -> tuple[int, bytes, dict[str, str], str]:
        """Status, body, headers and file name of an answer."""
        if match := INFO.fullmatch(path):
            return *self._info(match[1], match[2] or "", has_token), ""
        match = FILE.fullmatch(path)
        if match is None:
            return 404, b"", {}, ""
        refused = self._refusal(match[1], has_token)
        file = self.root / match[1] / match[3]
        if refused:
            return *refused, ""
        if match[2] not in ("main", COMMIT):
            return 404, b"", {"X-Error-Code": "RevisionNotFound"}, ""
        if not file.is_file():
            return 404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT}, ""
        data = file.read_bytes()
        headers = {
            "ETag": f'"{hashlib.sha256(data).hexdigest()}"',
            "X-Repo-Commit": COMMIT,
            "Accept-Ranges": "bytes",
        }
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        return 206 if start else 200, data[start:], headers, match[3]

    def _refusal(self, name: str, has_token: bool) -> tuple[int, bytes, dict[str, str]] | None:
        if name in self.gated and not has_token:
            return 401, b"{}", {"X-Error-Code": "GatedRepo", "X-Error-Message": "restricted"}
        if not (self.root / name).is_dir():
            return 404, b"{}", {"X-Error-Code": "RepoNotFound"}
        return None

    def _info(self, name: str, what: str, has_token: bool) -> tuple[int, bytes, dict[str, str]]:
        refused = self._refusal(name, has_token)
        if refused:
            return refused
        paths = sorted(path for path in (self.root / name).rglob("*") if path.is_file())
        names = {path.relative_to(self.root / name).as_posix(): path for path in paths}
        content: Any = [
            {
                "type": "file",
                "path": each,
                "size": path.stat().st_size,
                "oid": hashlib.sha1(path.read_bytes()).hexdigest(),
            }
            for each, path in names.items()
        ]
        if not what.startswith("/tree"):
            siblings = [{"rfilename": each} for each in names]
            content = {"id": name, "modelId": name, "sha": COMMIT, "siblings": siblings}
            content |= {"private": False, "gated": False, "tags": [], "downloads": 0, "likes": 0}
        return 200, json.dumps(content).encode(), {"Content-Type": "application/json"}


@contextmanager
def serve(root: Path) -> Iterator[FakeHub]:
    """Serve the repositories below a folder."""
    hub = FakeHub(root)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self, *, has_body: bool = True) -> None:
            asked = self.headers.get("Range")
            path = self.path.partition("?")[0]
            hub.requests.append((self.command, path, asked))
            start = int(asked.removeprefix("bytes=").partition("-")[0]) if asked else 0
            status, body, headers, name = hub.answer(
                path, start if has_body else 0, bool(self.headers.get("Authorization"))
            )
            self.send_response(status)
            for key, value in (headers | {"Content-Length": str(len(body))}).items():
                self.send_header(key, value)
            self.end_headers()
            if not has_body:
                return
            stop = hub.cut.pop(name, hub.stalled.get(name, 9 if name in hub.broken else None))
            self.wfile.write(body[:stop])
            if name in hub.stalled:
                hub.waits.set()
                hub.go_on.wait(60)
                return
            if stop is not None:
                self.wfile.flush()
                self.connection.shutdown(2)
                self.close_connection = True

        def do_HEAD(self) -> None:
            self.do_GET(has_body=False)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
