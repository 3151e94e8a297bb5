"""The chat as a web page that this machine serves."""

from __future__ import annotations

import io
import os
import signal
import socket
import sys
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from urllib.parse import quote

import uvicorn
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from metanlp.chat.guard import Guard, is_local
from metanlp.chat.people import folder_name, tidy
from metanlp.chat.session import Session
from metanlp.errors import Stopped, UserError

LONGEST_FILE = "20mb"
SECONDS_TO_END = 1  # for answers that are being written when the server is stopped


def serve(session: Session, host: str, port: int, password: str | None) -> None:
    """Show the page until the process is told to end. A `port` of 0 takes a free one. UserError where there is none.

    Ends with KeyboardInterrupt, or with Stopped after SIGTERM.
    """
    listening = _listen(host, port)
    with TemporaryDirectory() as aside:  # files that are dropped on the page lie here until they are read
        os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_TEMP_DIR": aside}  # read where gradio is imported
        app = app_of(session, host, password)
        server = uvicorn.Server(
            uvicorn.Config(app, log_level="warning", ws="none", timeout_graceful_shutdown=SECONDS_TO_END)
        )
        place = f"[{host}]" if ":" in host else host
        print(
            f"the chat is at http://{place}:{listening.getsockname()[1]}; Ctrl-C ends it", file=sys.stderr, flush=True
        )
        signal.signal(signal.SIGTERM, _stop)  # the server ends by itself, then hands the signal on
        server.run(sockets=[listening])


def app_of(session: Session, host: str, password: str | None) -> FastAPI:
    """The page, and people to download at `/export?person=NAME`, behind the guard."""
    import gradio

    from metanlp.chat.page import Page
    from metanlp.chat.widgets import LOOK, theme

    def export(request: Request) -> Response:
        try:
            name, content = _zipped(session, request.query_params.get("person", ""))
        except UserError as error:
            return PlainTextResponse(str(error), 404)
        named = f"attachment; filename*=UTF-8''{quote(name)}.zip"
        return Response(content, headers={"Content-Disposition": named}, media_type="application/zip")

    app = FastAPI(openapi_url=None)
    app.add_middleware(Guard, password=password, local=is_local(host))
    app.add_route("/export", export)
    return gradio.mount_gradio_app(
        app,
        Page(session).blocks,
        path="/",
        footer_links=[],
        max_file_size=LONGEST_FILE,
        ssr_mode=False,
        theme=theme(),
        css=LOOK,
    )


def _stop(number: int, frame: FrameType | None) -> None:
    raise Stopped(number)


def _listen(host: str, port: int) -> socket.socket:
    try:
        [(family, _, _, _, address), *_] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return socket.create_server(address, family=family)
    except OSError as error:
        why = error.strerror or error
        raise UserError(f"nothing can listen at {host}, port {port}: {why}; --port 0 takes a free port") from None


def _zipped(session: Session, name: str) -> tuple[str, bytes]:
    """A person's name, and their export as the bytes of a file."""
    content = io.BytesIO()
    with TemporaryDirectory() as aside, zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        folder = session.export(name, Path(aside) / folder_name(name))
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(aside))
    return tidy(name), content.getvalue()
