from __future__ import annotations

import hashlib

import pytest

from data_scripts import _common as common
from data_scripts._common import Collection, Direction, Row
from metanlp.errors import UserError


def collection(train: dict[str, list[Row]], test: dict[str, list[Row]], **options: object) -> Collection:
    made = Collection("translation", "MIT", "terms", "source", "thanks", "command", **options)  # type: ignore[arg-type]
    made.tasks["train"], made.tasks["test"] = train, test
    made.info = {name: {} for name in (*train, *test)}
    return made


def test_draw_is_a_pure_function_of_its_arguments() -> None:
    digest = hashlib.sha256(b"7|sentence|Save").hexdigest()
    assert common.draw(7, "sentence", "Save") == int(digest[:12], 16) / 16**12
    assert common.draw(7, "sentence", "Save") != common.draw(8, "sentence", "Save")


def test_a_tenth_of_the_sentences_goes_to_each_held_out_part() -> None:
    parts = [common.part_of(0, str(number)) for number in range(10_000)]
    assert abs(parts.count("valid") - 1000) < 100
    assert abs(parts.count("test") - 1000) < 100


def test_pools() -> None:
    pools = {(split, part): common.pool_in(split, part) for split in common.SPLITS for part in common.SPLITS}
    assert pools == {
        ("train", "train"): "",
        ("train", "valid"): None,
        ("train", "test"): None,
        ("valid", "train"): "support",
        ("valid", "valid"): "query",
        ("valid", "test"): None,
        ("test", "train"): "support",
        ("test", "valid"): None,
        ("test", "test"): "query",
    }


def test_a_split_does_not_see_case_or_punctuation() -> None:
    assert common.gist("  Save! ") == common.gist("save") == "save"
    assert common.gist("…") == "…"


@pytest.mark.parametrize("leak", [Row("q", "b", "9"), Row("a", "Q", "9"), Row("a", "b", "1")])
def test_a_training_row_with_a_part_of_a_query_goes(leak: Row) -> None:
    query, support, fine = Row("q", "Q", "1", "query"), Row("s", "S", "2", "support"), Row("s", "S", "2")
    made = collection({"de": [leak, fine]}, {"zu": [query, support]})
    with pytest.raises(AssertionError, match="of a query"):
        made.check()
    made.drop_leaks()
    assert made.tasks["train"]["de"] == [fine]
    assert made.dropped.total() == 1
    made.check()


def test_a_label_is_no_secret() -> None:
    made = collection(
        {"de": [Row("a", "sport", "1")]}, {"zu": [Row("b", "sport", "2", "query")]}, secret=("source", "id")
    )
    made.drop_leaks()
    made.check()
    assert len(made.tasks["train"]["de"]) == 1


def numbered(words: str, count: int, pool: str = "") -> list[Row]:
    return [Row(str(i), f"{words}{i}", str(i), pool) for i in range(count)]


def test_copies_and_twins_of_held_out_tasks_go() -> None:
    half = numbered("zu", 20)[:10] + numbered("fr", 40)[10:20]
    twin = numbered("zu", 20)[:11] + numbered("ms", 40)[11:20]
    train = {
        "copy": numbered("zu", 20),
        "half": half,
        "twin": twin,
        "a": numbered("a", 30),
        "b": numbered("a", 30),
    }
    made = collection(train, {"zu": numbered("zu", 20, "support")})
    made.drop_copies("target")
    assert sorted(made.tasks["train"]) == ["a", "half"]
    assert list(made.tasks["test"]) == ["zu"]
    assert made.dropped == {
        "rows, task copy: a copy of zu": 20,
        "rows, task b: a copy of a": 30,
        "rows, task twin: 55% the same as zu, which is held out": 20,
    }
    assert set(made.info) == {"a", "half", "zu"}


def test_few_common_sentences_make_no_twin() -> None:
    made = collection({"de": numbered("x", 19)}, {"zu": [*numbered("x", 19, "support"), Row("y", "y", "99", "query")]})
    made.drop_copies("target")
    assert "de" in made.tasks["train"]


def test_small_tasks_go() -> None:
    made = collection({"de": numbered("a", 2), "fr": numbered("b", 3)}, {})
    made.drop_small(3)
    assert list(made.tasks["train"]) == ["fr"]
    assert made.dropped == {"rows, task de: fewer than 3": 2}


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([Row("a", "b", "1"), Row("c", "d", "1")], "de: id '1' comes 2 times"),
        ([Row("a", "b\tc", "1")], "blanks"),
        ([Row("", "b", "1")], "an empty cell"),
    ],
)
def test_rows_that_no_file_can_hold_are_refused(rows: list[Row], says: str) -> None:
    with pytest.raises(UserError, match=says):
        collection({"de": rows}, {}).check()


def test_nothing_at_all_is_refused() -> None:
    with pytest.raises(UserError, match="not one usable row"):
        collection({}, {}).check()


def test_directions() -> None:
    assert Direction("to-english").row("dog", "Hund", "1", "query") == Row("Hund", "dog", "1", "query")
    assert Direction("from-english").row("dog", "Hund", "1", "") == Row("dog", "Hund", "1", "")
    assert Direction("from-english").info("deu", "eng") == {
        "source_language": "eng",
        "target_language": "deu",
        "language": "German",
    }


@pytest.mark.parametrize(
    ("code", "name"), [("zu", "Zulu"), ("ace_Arab", "Acehnese"), ("pt-BR", "Portuguese"), ("qqq", "qqq")]
)
def test_language_names(code: str, name: str) -> None:
    assert common.language_name(code) == name
