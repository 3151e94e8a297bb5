"""`metanlp serve` in a second process, without a browser."""

from __future__ import annotations

import io
import signal
import socket
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from served import served

pytest.importorskip("gradio", reason="pip install 'metanlp[web]'")

from metanlp.chat.lines import lines_of_text


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return answer.read()


def test_people_are_downloaded_and_all_ends_well(talker: Path, tmp_path: Path, session_of: Callable) -> None:
    """The file has what `export` writes; a name cannot lead out of it; SIGTERM leaves nothing behind."""
    session, name = session_of(), "../Zoë & co."
    assert session.teach(name, lines_of_text("hello => aaaaaa")).wait(60)
    wanted = session.export(name, tmp_path / "wanted")
    session.close()
    aside = tmp_path / "aside"
    aside.mkdir()
    with served(talker, tmp_path / "people", TMPDIR=str(aside)) as (url, process):
        assert url.startswith("http://127.0.0.1:")
        archive = zipfile.ZipFile(io.BytesIO(fetch(f"{url}/export?person={urllib.parse.quote(name, safe='')}")))
        found = {Path(each).name: archive.read(each) for each in archive.namelist() if not each.endswith("/")}
        assert found == {path.name: path.read_bytes() for path in wanted.iterdir()}
        assert {Path(each).parts[0] for each in archive.namelist()} == {session.open(name).folder.name}
        with pytest.raises(urllib.error.HTTPError) as refused:
            fetch(f"{url}/export?person=Nobody")
        assert (refused.value.code, refused.value.read()[:28]) == (404, b"there is nobody called 'Nobo")
        assert b"fonts.googleapis" not in fetch(url)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 143
        assert (
            process.stderr.read() == "metanlp: stopped; everything is saved, and the same command goes on from there\n"
        )
    assert list(aside.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            ["--host", "0.0.0.0"],
            "--host 0.0.0.0 shows the page, and everybody's lines, to whoever reaches this machine",
        ),
        (["--port", "TAKEN"], "; --port 0 takes a free port"),
    ],
)
def test_mistakes(options: list[str], says: str, talker: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = [each.replace("TAKEN", str(other.getsockname()[1])) for each in options]
        with (
            pytest.raises(AssertionError, match=says.replace("'", ".")),
            served(talker, tmp_path, *taken, METANLP_PASSWORD="") as (_, process),
        ):
            assert process.poll() is None
