"""Who is let in to the web page."""

from __future__ import annotations

import asyncio
import base64

import pytest

pytest.importorskip("starlette", reason="pip install 'metanlp[web]'")

from metanlp.chat.guard import OWN_FILES_ONLY, Guard, is_local, require_password
from metanlp.errors import UserError


def answered(password: str | None = None, local: bool = True, **headers: str) -> tuple[int, dict[bytes, bytes]]:
    """Status and headers of what comes back from an app that lets everybody in, behind the guard."""
    sent: list[dict] = []

    async def app(scope, receive, send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"inside"})

    async def send(message) -> None:
        sent.append(message)

    async def receive() -> dict:
        return {"type": "http.request"}

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    asyncio.run(Guard(app, password, local)({"type": "http", "headers": raw}, receive, send))
    assert (sent[1]["body"] == b"inside") == (sent[0]["status"] == 200)
    return sent[0]["status"], dict(sent[0]["headers"])


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize("host", ["127.0.0.1:7860", "localhost:7860", "localhost", "[::1]:80", "127.1.2.3"])
def test_this_machine_is_let_in_and_told_to_fetch_nothing_from_elsewhere(host: str) -> None:
    status, headers = answered(host=host)
    assert status == 200
    assert headers[b"content-security-policy"].decode() == OWN_FILES_ONLY


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:7860", "192.168.1.5:7860", ""])
def test_a_name_that_somebody_points_to_this_machine_is_not(host: str) -> None:
    assert answered(host=host)[0] == 403
    assert answered(host=host, password="open sesame", local=False, authorization=basic("x:open sesame"))[0] == 200


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost:7860", 200),
        ("http://localhost:80", 403),
        ("https://evil.example", 403),
        ("null", 403),
    ],
)
def test_other_sites_pages_are_not(origin: str, status: int) -> None:
    assert answered(host="localhost:7860", origin=origin)[0] == status


@pytest.mark.parametrize(
    ("given", "status"),
    [
        (basic("anybody:pässword: with a colon"), 200),
        (basic(":pässword: with a colon").replace("Basic", "basic"), 200),
        (basic("anybody:password"), 401),
        (basic("pässword: with a colon"), 401),
        (basic("anybody:"), 401),
        ("Bearer " + basic("x:pässword: with a colon")[6:], 401),
        ("Basic ???", 401),
        ("", 401),
    ],
)
def test_the_password_and_nothing_else(given: str, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metanlp.chat.guard.SECONDS_AFTER_A_WRONG_PASSWORD", 0)
    found, headers = answered("pässword: with a colon", False, host="a.example", authorization=given)
    assert found == status
    assert (b"www-authenticate" in headers) == (status == 401)


def test_where_a_password_is_needed() -> None:
    for host in ("127.0.0.1", "::1", "localhost"):
        assert is_local(host)
        require_password(host, None)
    for host in ("0.0.0.0", "::", "192.168.1.5", "myhost"):
        require_password(host, "x")
        for none in (None, ""):
            with pytest.raises(UserError, match=f"--host {host} shows the page.*--password, or the variable METANLP"):
                require_password(host, none)
