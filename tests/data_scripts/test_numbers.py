from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from data_scripts import _common as common
from data_scripts import _output as output
from data_scripts import numbers

pytest.importorskip("unicode_rbnf", reason="pip install 'metanlp[demo]'")
TEST = {"ak", "kl", "ee", "qu", "se", "zu", "cy", "hu", "fo", "tr", "eo", "id"}


@pytest.fixture(scope="module")
def built() -> common.Collection:
    return numbers.build(1000, 0)


@pytest.fixture
def tasks(built: common.Collection, tmp_path: Path, read: Callable) -> dict:
    output.finish(built, tmp_path / "numbers")
    return read(tmp_path / "numbers")


def test_tasks_and_examples(tasks: dict, check: Callable, counts: Callable) -> None:
    check(tasks)
    assert counts(tasks) == {
        "train": (57, 39_900, 0),
        "valid": (8, 6_800, 1_200),
        "test": (12, 10_200, 1_800),
    }
    assert set(tasks["test"]) == TEST


def test_every_language_has_the_same_numbers_split_by_length(tasks: dict) -> None:
    ids = {name: {row["id"] for row in rows} for split in tasks.values() for name, rows in split.items()}
    train = ids["de"]
    assert all(ids[name] == train for name in tasks["train"])
    valid, test = ids["sw"] - train, ids["zu"] - train
    assert all(ids[name] == train | valid for name in tasks["valid"])
    assert all(ids[name] == train | test for name in tasks["test"])
    assert valid.isdisjoint(test)
    every = sorted(map(int, train | valid | test))
    assert every[:100] == list(range(100))
    assert [sum(10**k <= number < 10 ** (k + 1) for number in every) for k in (2, 3)] == [300, 600]
    assert sum(int(number) < 100 for number in test) == 15


def test_words_are_the_package_s(tasks: dict) -> None:
    from unicode_rbnf import RbnfEngine

    known = {row["source"]: row["target"] for row in tasks["train"]["fr"]}
    engine = RbnfEngine.for_language("fr")
    for number in list(known)[::100]:
        assert known[number] == engine.format_number(int(number)).text
    german = {row["source"]: row["target"] for row in tasks["train"]["de"]}
    small = {"7": "sieben", "12": "zwölf", "21": "einundzwanzig", "47": "siebenundvierzig", "80": "achtzig"}
    found = german.keys() & small.keys()
    assert len(found) >= 3
    assert {n: german[n] for n in found} == {n: small[n] for n in found}


def test_no_digits_and_nothing_invisible(tasks: dict) -> None:
    for split in tasks.values():
        for rows in split.values():
            for row in rows:
                assert not any(char.isdigit() for char in row["target"])
                assert not {unicodedata.category(char) for char in row["target"]} & {"Cf", "Cc"}
                assert row["source"] == row["id"]


def test_variants_and_twins_are_reported(built: common.Collection) -> None:
    assert [line for line in built.dropped if "ms" in line] == ["rows, task ms: 69% the same as id, which is held out"]
    assert [count for line, count in built.dropped.items() if "sr_Latn" in line and "de_CH" in line] == [9]
    assert "MIT License" in built.terms


def test_the_seed_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numbers, "locales", lambda collection: ["de", "sw", "zu"])
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        output.write(numbers.build(120, seed), tmp_path / name)
    zulu = {name: (tmp_path / name / "test" / "zu.tsv").read_bytes() for name in "abc"}
    assert zulu["a"] == zulu["b"] != zulu["c"]


def test_a_language_that_answers_in_digits_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    def spell(language: str, some: list[int]) -> list[str]:
        return [f"{language} {'٣' if language == 'ar' else 'x'}{'i' * number}" for number in some]

    monkeypatch.setattr(numbers, "spell", spell)
    monkeypatch.setattr(numbers, "locales", lambda collection: ["ar", "de", "zu"])
    built = numbers.build(120, 0)
    assert "ar" not in built.tasks["train"]
    assert built.dropped["rows, task ar: its words contain digits"] == 84


def test_hints_for_line_breaks_are_taken_out(monkeypatch: pytest.MonkeyPatch) -> None:
    import unicode_rbnf

    class Engine:
        def format_number(self, number: int) -> object:
            return type("Result", (), {"text": f"si\u00adeben\u200b {number * 'x'}"})()

    monkeypatch.setattr(unicode_rbnf.RbnfEngine, "for_language", staticmethod(lambda language: Engine()))
    assert numbers.spell("de", [2]) == ["sieben xx"]


@pytest.mark.parametrize("per_task", [120, 1000, 10_000])
def test_as_many_numbers_as_asked_for(per_task: int) -> None:
    parts = numbers.choose_numbers(per_task, 0)
    every = [number for part in parts.values() for number in part]
    assert len(every) == len(set(every)) == per_task
    assert set(range(100)) <= set(every)
    assert abs(len(parts["test"]) - 0.15 * per_task) <= 1


def test_fewer_training_languages_are_among_more_and_nothing_else_changes() -> None:
    whole, ten, three = (numbers.build(120, 0, count) for count in (None, 10, 3))
    assert len(three.tasks["train"]) == 3 < len(ten.tasks["train"]) == 10 < len(whole.tasks["train"])
    for fewer, more in ((three, ten), (ten, whole)):
        assert fewer.tasks["train"].items() <= more.tasks["train"].items()
        assert all(fewer.tasks[split] == more.tasks[split] for split in ("valid", "test"))
        assert fewer.info.items() <= more.info.items()
    assert "--out data/numbers_3 --per-task 120 --seed 0 --training-languages 3" in three.made_by
    assert whole.made_by.endswith("--out data/numbers --per-task 120 --seed 0")
