"""Program ``sola app``: serve the page, and run predict.py's pipeline for its users."""

import logging
import os
import re
import secrets
import signal
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from html import escape
from importlib.resources import files
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from sola.app.options import (
    AppOptions,
    check_clip,
    list_clips,
    read_sentences,
    read_threshold,
    read_words,
    show_help,
)
from sola.config import compose
from sola.config.messages import message_of
from sola.config.program import quote, run_program
from sola.errors import UserError
from sola.interrupts import INTERRUPTED
from sola.prediction.clip.command_line import complete

log = logging.getLogger(__name__)

POLL_S = 0.3
MAX_WAITING = 20  # requests
NUM_LINES = 12  # lines of the log that the page shows
POLICY = b"default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; frame-ancestors 'self'"
LOOPBACK = ["127.0.0.1", "localhost"]
PLACEHOLDERS = ("video=clip.mp4", "expression=sentence", "paths.output_dir=none")
"""Required values that each run replaces; users' words never pass through Hydra's syntax."""


def main(words: Sequence[str]) -> None:
    """Run ``sola app``.

    Args:
        words: ``app.<name>=<value>``, and overrides of predict.py.
    """
    if "-h" in words or "--help" in words:
        show_help()
        return
    run_program(lambda: _serve(words))


class Answerer:
    """Run the pipeline of ``sola predict video=...``, one clip at a time.

    Args:
        overrides: overrides of predict.py.
        options: options of the page.
        folder: a folder for uploads, answers and outputs of runs.
    """

    def __init__(self, overrides: Sequence[str], options: AppOptions, folder: Path) -> None:
        self.overrides = [*map(quote, complete([*PLACEHOLDERS, *overrides]))]
        self.options = options
        self.uploads_dir, self.answers_dir, self.runs_dir = (
            folder / name for name in ("uploads", "answers", "runs")
        )
        for each in (self.uploads_dir, self.answers_dir, self.runs_dir):
            each.mkdir()
        self.clips = Path(options.folder).expanduser() if options.folder else None
        self._lock = threading.Lock()
        config = compose("predict", self.overrides)
        if config.ckpt_path and not Path(config.ckpt_path).expanduser().exists():
            raise UserError(f"ckpt_path={config.ckpt_path}: not found. Correct the path.")

    def answer(
        self, uploaded: str | None, chosen: str | None, text: str, threshold: str = ""
    ) -> Path:
        """Answer sentences about a clip; return the index.html of its page.

        Args:
            uploaded: path of an uploaded file.
            chosen: name of a clip in the folder of clips, used if nothing is uploaded.
            text: sentences, one per line.
            threshold: a number in [0, 1]; empty: that of the configuration.

        Raises:
            UserError: if the clip or the sentences are not accepted, see ``run_clip``.
        """
        sentences, limit = read_sentences(text, self.options), read_threshold(threshold)
        if uploaded:
            clip = check_clip(Path(uploaded), self.uploads_dir)
        elif chosen and self.clips:
            clip = check_clip(self.clips / chosen, self.clips)
        else:
            raise UserError("clip: choose a video first.")
        from sola.app.page import write_answer_page
        from sola.prediction.clip.run import CLIPS_DIR, run_clip

        with self._lock, tempfile.TemporaryDirectory(dir=self.runs_dir) as output_dir:
            config = compose("predict", self.overrides)
            config.paths.output_dir = output_dir
            config.video, config.expression, config.expressions = str(clip), None, sentences
            config.threshold = config.threshold if limit is None else limit
            run_clip(config)
            folder = self.answers_dir / secrets.token_hex(16)
            clips_dir = Path(config.paths.data_dir) / CLIPS_DIR
            return write_answer_page(folder, Path(output_dir), clips_dir)

    def respond(self, *request: Any) -> Iterator[tuple[str, str]]:
        """Answer as ``answer`` does; yield the text of the status field, and the page's HTML."""
        lines, start = _Lines(), time.monotonic()
        logging.getLogger().addHandler(lines)
        try:
            future = _start(self.answer, *request)
            while not future.done():
                yield f"{time.monotonic() - start:.0f} s\n{lines.text()}", ""
                time.sleep(POLL_S)
            page = future.result()
        except (Exception, SystemExit) as error:
            message = message_of(error)
            if message is None:
                log.exception("a run of the page failed")
                message = "the run failed, see the terminal for its traceback."
            yield f"Error: {message}", ""
            return
        finally:
            logging.getLogger().removeHandler(lines)
        address = escape(f"gradio_api/file={page}")
        frame = f'<iframe src="{address}" title="answer" class="answer"></iframe>'
        yield f"Done in {time.monotonic() - start:.0f} s.", frame


def _start(task: Callable[..., Path], *arguments: Any) -> "Future[Path]":
    """Start a task in a thread that does not keep the process alive."""
    future: Future[Path] = Future()

    def run() -> None:
        try:
            future.set_result(task(*arguments))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


class _Lines(logging.Handler):
    """Keep the last messages of sola, without folders of paths."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: deque[str] = deque(maxlen=NUM_LINES)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a message."""
        if record.name.startswith("sola"):
            self.lines.append(re.sub(r"(?<!\S)/\S*/", "", record.getMessage()))

    def text(self) -> str:
        """Return the last messages, one per line."""
        return "\n".join(self.lines)


def build_page(answerer: Answerer) -> Any:
    """Return the page, a ``gradio.Blocks``."""
    import gradio as gr

    options = answerer.options
    clips = list_clips(answerer.clips) if answerer.clips else []
    with gr.Blocks(title="sola", analytics_enabled=False) as page:
        gr.Markdown("# sola\nFind objects in a video by sentences.")
        with gr.Row():
            with gr.Column():
                uploaded = gr.Video(sources=["upload"], label="Video", height=260)
                chosen = gr.Dropdown(
                    clips, value=None, label=f"or from {options.folder}", visible=bool(clips)
                )
            with gr.Column():
                text = gr.Textbox(
                    lines=5,
                    label=f"Sentences, one per line, at most {options.max_sentences}",
                    placeholder="the dog, running left",
                    elem_id="sentences",
                )
                threshold = gr.Textbox(
                    label="Threshold of the masks to download",
                    placeholder="that of the model",
                    max_length=10,
                )
                button = gr.Button("Find", variant="primary", elem_id="find")
        status = gr.Textbox(label="Progress", lines=2, interactive=False, elem_id="status")
        answer = gr.HTML(js_on_load=None)
        button.click(
            answerer.respond,
            [uploaded, chosen, text, threshold],
            [status, answer],
            api_visibility="private",
            show_progress="minimal",
            show_progress_on=[status],
            concurrency_limit=1,
        )
        private: dict[str, Any] = {"api_visibility": "private", "queue": False}
        uploaded.upload(lambda: None, None, chosen, **private)
        chosen.input(lambda: None, None, uploaded, **private)
    return page


class _OwnHostOnly:
    """ASGI middleware: the browser loads nothing from other hosts, no address is a path."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def send_with_policy(message: Any) -> None:
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", ()), (b"content-security-policy", POLICY)]
                message = {**message, "headers": headers}
            await send(message)

        if "file=http" in scope.get("path", "").lower():
            await send({"type": "http.response.start", "status": 403, "headers": []})
            await send({"type": "http.response.body", "body": b""})
        else:
            await self.app(scope, receive, send_with_policy)


def _serve(words: Sequence[str]) -> int:
    options, overrides = read_words(words)
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ.setdefault("CI", "1")  # progress as lines of the log, which the page shows
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.default_int_handler)  # so that the folder is removed
    try:
        with tempfile.TemporaryDirectory(prefix="sola-app-", ignore_cleanup_errors=True) as name:
            folder = Path(name).resolve()
            os.environ["GRADIO_TEMP_DIR"] = str(folder / "uploads")
            page = _launch(Answerer(overrides, options, folder), options)
            sys.stdout.write(f"sola app: {page.local_url} (Ctrl-C ends it)\n")
            sys.stdout.flush()
            threading.Event().wait()
    except KeyboardInterrupt:
        os._exit(INTERRUPTED)  # without waiting for a run: torch aborts if its thread is ended
    return 0


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _launch(answerer: Answerer, options: AppOptions) -> Any:
    """Start the server in a thread; return the ``gradio.Blocks``."""
    try:
        import gradio as gr
        from starlette.middleware import Middleware
        from starlette.middleware.trustedhost import TrustedHostMiddleware
    except ImportError as error:
        raise UserError("gradio: not installed. Run: pip install 'sola-rvos[app]'") from error
    hosts = [*LOOPBACK, options.host] if _is_loopback(options.host) else ["*"]
    middleware = [Middleware(TrustedHostMiddleware, hosts), Middleware(_OwnHostOnly)]
    style = (files("sola.visualization") / "assets" / "app.css").read_text()
    page = build_page(answerer).queue(max_size=MAX_WAITING)
    try:
        page.launch(
            server_name=options.host,
            server_port=options.port or None,
            share=False,
            quiet=True,
            prevent_thread_lock=True,
            allowed_paths=[str(answerer.answers_dir)],
            max_file_size=f"{options.max_mb}mb",
            app_kwargs={"middleware": middleware},
            ssr_mode=False,
            footer_links=[],
            theme=gr.themes.Default(font="system-ui", font_mono="monospace"),
            head=f"<style>{style}</style>",
        )
    except OSError as error:
        raise UserError(
            f"app.host={options.host} app.port={options.port}: cannot be used. Choose others."
        ) from error
    return page
