"""Headless Chromium, driven through chromedriver by W3C WebDriver's own requests."""

import base64
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
IS_THERE = CHROMIUM is not None and DRIVER is not None
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
LIMIT_S = 30.0
NUM_STARTS = 3
"""Chromium may not come up at once on a busy machine."""
OPENER = build_opener(ProxyHandler({}))  # no proxy: it is this machine
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
KEYS = {"Escape": "\ue00c", "Enter": "\ue007", "ArrowLeft": "\ue012", "ArrowUp": "\ue013"}
KEYS |= {"ArrowRight": "\ue014", "ArrowDown": "\ue015", "Tab": "\ue004"}


class Browser:
    """One window, to click in as a user would.

    Args:
        url: of a WebDriver session.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    def open(self, path: Path, fragment: str = "") -> None:
        """Loads a file; returns when the page says that it is loaded."""
        self._post("url", {"url": path.resolve().as_uri() + fragment})

    def visit(self, address: str) -> None:
        """Loads a page of a server; returns when the page says that it is loaded."""
        self._post("url", {"url": address})

    def run(self, script: str, *arguments: Any) -> Any:
        """What a script returns."""
        return self._post("execute/sync", {"script": script, "args": list(arguments)})

    def click(self, selector: str) -> None:
        """Clicks in the middle of the first element that a CSS selector finds."""
        element = self._find(selector)
        self._post(f"element/{element}/click", {})

    def hover(self, selector: str) -> None:
        """Moves the mouse to the middle of the first element that a CSS selector finds."""
        place = {"x": 0, "y": 0, "origin": {ELEMENT: self._find(selector)}}
        mouse = {"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}}
        move = {"type": "pointerMove", "duration": 0, **place}
        self._post("actions", {"actions": [{**mouse, "actions": [move]}]})

    def type(self, selector: str, words: str) -> None:
        """Writes into a field."""
        self._post(f"element/{self._find(selector)}/value", {"text": words})

    def press(self, *keys: str) -> None:
        """Presses and lets go keys, one after the other, wherever the focus is."""
        actions = [
            {"type": kind, "value": KEYS.get(key, key)}
            for key in keys
            for kind in ("keyDown", "keyUp")
        ]
        keyboard = {"type": "key", "id": "keyboard", "actions": actions}
        self._post("actions", {"actions": [keyboard]})

    def wait(self, condition: str, *arguments: Any) -> Any:
        """Waits until an expression of the page's is true; AssertionError if it never is."""
        end = time.monotonic() + LIMIT_S
        while not (found := self.run(f"return {condition}", *arguments)):
            assert time.monotonic() < end, f"never true: {condition}"
            time.sleep(0.02)
        return found

    def emulate(self, width: int, height: int, *, dark: bool = False) -> None:
        """Shows the page on a screen of this size, of someone who likes it dark or light."""
        screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self._devtools("Emulation.setDeviceMetricsOverride", screen)
        liked = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._devtools("Emulation.setEmulatedMedia", {"features": [liked]})

    def names(self) -> list[tuple[str, str]]:
        """Role and name of everything that a screen reader finds, in order."""
        nodes = self._devtools("Accessibility.getFullAXTree", {})["nodes"]
        return [
            (node["role"]["value"], node.get("name", {}).get("value", ""))
            for node in nodes
            if not node["ignored"]
        ]

    def errors(self) -> list[str]:
        """What the page complained of since the last call."""
        entries = self._post("se/log", {"type": "browser"})
        return [entry["message"] for entry in entries if entry["level"] == "SEVERE"]

    def picture(self) -> bytes:
        """What the window shows, as a PNG."""
        with OPENER.open(f"{self.url}/screenshot", timeout=LIMIT_S) as answer:
            return base64.b64decode(json.load(answer)["value"])

    def _find(self, selector: str) -> str:
        found = self._post("element", {"using": "css selector", "value": selector})
        return str(found[ELEMENT])

    def _devtools(self, command: str, parameters: dict[str, Any]) -> Any:
        return self._post("goog/cdp/execute", {"cmd": command, "params": parameters})

    def _post(self, what: str, content: dict[str, Any]) -> Any:
        return _post(f"{self.url}/{what}", content)


@contextmanager
def start_browser(profile_dir: Path) -> Iterator[Browser]:
    """A browser of its own, with a fresh profile.

    Args:
        profile_dir: an empty folder, or none yet.
    """
    assert CHROMIUM is not None
    assert DRIVER is not None
    driver = subprocess.Popen(
        [DRIVER, "--port=0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        url = f"http://127.0.0.1:{_port_of(driver)}/session"
        yield Browser(f"{url}/{_start_session(url, profile_dir)}")
    finally:
        os.killpg(driver.pid, signal.SIGKILL)  # it and the browser
        driver.communicate()


def _start_session(url: str, profile_dir: Path) -> str:
    for attempt in range(NUM_STARTS):
        profile = f"--user-data-dir={profile_dir / str(attempt)}"
        options = {"binary": CHROMIUM, "args": [*FLAGS, profile]}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        try:
            return str(_post(url, {"capabilities": {"alwaysMatch": wanted}})["sessionId"])
        except AssertionError:
            if attempt + 1 == NUM_STARTS:
                raise
    raise AssertionError("unreachable")


def _port_of(driver: "subprocess.Popen[str]") -> int:
    assert driver.stdout is not None
    for line in driver.stdout:
        if "started successfully on port" in line:
            return int(line.strip().rstrip(".").rpartition(" ")[2])
    raise AssertionError("chromedriver did not start")


def _post(url: str, content: dict[str, Any]) -> Any:
    request = Request(url, json.dumps(content).encode(), {"Content-Type": "application/json"})
    try:
        with OPENER.open(request, timeout=LIMIT_S) as answer:
            return json.load(answer)["value"]
    except HTTPError as error:
        raise AssertionError(f"{url}: {error.read().decode()[:500]}") from error
