"""People on disk: names that are no paths, folders that are whole, and what is gone when they are forgotten."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metanlp.chat.people import ADAPTER, FACTS, LINES, Learnt, People, folder_name, key_of
from metanlp.data.types import Example
from metanlp.errors import UserError

LINES_OF_ANNA = [Example("Hi!", "Hej!", group="1.1"), Example("a\nb\nc", "\u2028 odd", group="1.2")]


def adapter(folder: Path, content: bytes = b"weights") -> Path:
    folder.mkdir()
    (folder / "adapter_model.safetensors").write_bytes(content)
    return folder


def test_what_was_kept_is_there_afterwards(tmp_path: Path) -> None:
    people = People(tmp_path / "people")
    kept = people.keep(" Anna  B. ", LINES_OF_ANNA, Learnt("base", 2, 5, 1.5), adapter(tmp_path / "made"))
    again = People(tmp_path / "people").get("anna b.")
    assert again == kept
    assert (kept.name, kept.lines, kept.adapter_bytes, kept.learnt) == ("Anna B.", 2, 7, Learnt("base", 2, 5, 1.5))
    assert people.lines(kept) == LINES_OF_ANNA
    rows = [json.loads(line) for line in (kept.folder / LINES).read_text().split("\n") if line]
    assert rows[1] == {"dialogue": "1.2", "history": ["a", "b", "c"], "reply": "\u2028 odd"}


def test_more_lines_leave_the_adapter(tmp_path: Path) -> None:
    people = People(tmp_path / "people")
    first = people.keep("Anna", LINES_OF_ANNA[:1], Learnt("base", 1, 5, 1.5), adapter(tmp_path / "made"))
    more = people.keep("Anna", LINES_OF_ANNA)
    assert (more.adapter, more.learnt, more.lines) == (first.adapter, first.learnt, 2)
    other = people.keep("Anna", LINES_OF_ANNA, Learnt("base", 2, 5, 1.0), adapter(tmp_path / "new", b"others"))
    assert other.adapter != first.adapter


def test_forgetting_leaves_nothing(tmp_path: Path) -> None:
    people = People(tmp_path)
    anna, ben = people.keep("Anna", LINES_OF_ANNA), people.keep("Ben", [])
    (tmp_path / f".{anna.folder.name}.otherhost.999999.tmp").mkdir()
    assert people.forget("ANNA").name == "Anna"
    assert [path.name for path in tmp_path.iterdir()] == [ben.folder.name]
    assert people.all() == [ben]
    with pytest.raises(UserError, match="nobody called 'Anna'"):
        people.forget("Anna")


def test_a_damaged_person_is_refused_and_can_be_forgotten(tmp_path: Path) -> None:
    people = People(tmp_path)
    anna = people.keep("Anna", LINES_OF_ANNA)
    (anna.folder / LINES).write_text("")
    with pytest.raises(UserError, match="altered since it was saved; remove it"):
        people.get("Anna")
    (anna.folder / FACTS).unlink()
    assert people.all() == []
    people.forget("Anna")
    assert not anna.folder.exists()


def test_a_write_that_breaks_off_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    people = People(tmp_path / "people")
    before = people.keep("Anna", LINES_OF_ANNA[:1])
    monkeypatch.setattr("metanlp.chat.people._row", lambda example: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="full"):
        people.keep("Anna", LINES_OF_ANNA)
    assert People(tmp_path / "people").get("Anna") == before
    assert [path.name for path in (tmp_path / "people").iterdir()] == [before.folder.name]


@pytest.mark.parametrize("name", ["", "  ", "a\x00b", "x" * 81, "\u202eevil"])
def test_what_is_no_name(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no name"):
        People(tmp_path).get(name)


NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80)


@given(NAMES)
def test_every_name_is_one_plain_folder(name: str) -> None:
    try:
        folder = folder_name(name)
    except UserError:
        return
    assert folder == Path(folder).name == folder.lower()
    assert folder.isascii()
    assert not folder.startswith((".", "-"))
    assert len(folder) < 64
    assert folder == folder_name(f" {name} ")


@given(NAMES, NAMES)
def test_two_people_have_two_folders(one: str, other: str) -> None:
    try:
        keys, folders = {key_of(one), key_of(other)}, {folder_name(one), folder_name(other)}
    except UserError:
        return
    assert len(keys) == len(folders)


@pytest.mark.parametrize("name", ["../../etc", "/etc/passwd", "C:\\x", "a/b", "..", "~", "-rf", "CON"])
def test_names_that_look_like_paths_stay_inside(name: str, tmp_path: Path) -> None:
    person = People(tmp_path / "people").keep(name, [], adapter=adapter(tmp_path / "made"))
    assert person.folder.parent == tmp_path / "people"
    assert (person.folder / ADAPTER).is_dir()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made", "people"]
    assert person.name == name
