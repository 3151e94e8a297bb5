"""What `metanlp check` says of tokenizer and tasks."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

from backbones.real_formats import e5
from makers import plain_recipe

from metanlp.config.load import build_recipe
from metanlp.coverage import Coverage
from metanlp.run import Run
from metanlp.tokens import Cut, Cuts, about_cuts, cuts_of


def cut(split: str, task: str, pieces: int, too_long: int = 0, **more) -> Cut:
    side = Coverage(texts=10, words=100, characters=600, pieces=pieces, **more)
    return Cut(split, task, Coverage(texts=10, words=100, characters=500, pieces=120), side, too_long)


def test_a_quiet_collection_gets_a_line_a_split() -> None:
    cuts = Cuts([cut("train", "de", 150), cut("train", "nl", 160), cut("test", "da", 170)])
    assert list(about_cuts(cuts)) == [
        "tokens of train: 4.0 characters a piece, 1.4 pieces a word, 0.00% unknown, 0.00% of the texts cut",
        "tokens of test: 3.8 characters a piece, 1.4 pieces a word, 0.00% unknown, 0.00% of the texts cut",
    ]
    assert cuts.pieces_an_example == 2 * (120 + 150 + 120 + 160) / 40


def test_a_language_in_crumbs_is_named_beside_the_training_tasks() -> None:
    lines = list(about_cuts(Cuts([cut("train", "de", 150), cut("train", "nl", 160), cut("test", "tyv", 400)])))
    assert lines[2].endswith(
        "tyv is cut into 4.0 pieces a word where training tasks have 1.6; see `metanlp doctor --text FILE --backbone NAME`"
    )


def test_where_nothing_can_be_done_nothing_is_said() -> None:
    """A tokenizer that was trained on the training tasks gets no new pieces."""
    cuts = Cuts([cut("train", "de", 150), cut("train", "nl", 160), cut("test", "tyv", 400)], mendable=False)
    assert not any("tyv" in line for line in about_cuts(cuts))


def test_what_is_unknown_lost_or_too_long_is_told_by_split() -> None:
    tasks = [
        cut("train", "de", 150),
        cut("valid", "kaz", 150, lost=Counter("\u200d" * 5)),
        cut("test", "tyv", 150, 3, unknown=8, lost=Counter("\u200d" * 5)),
    ]
    _, _, valid, _, unknown, long = about_cuts(Cuts(tasks))
    assert valid.endswith("valid loses characters on the way to pieces and back: 5 x ZERO WIDTH JOINER (U+200D)")
    assert unknown.startswith("  warning: 3.0% of the pieces of test are unknown")
    assert long.startswith("  warning: 15.0% of the texts of test are longer")


def test_letters_and_marks_apart_are_told() -> None:
    lines = list(about_cuts(Cuts([cut("train", "vi", 150, decomposed=5)])))
    assert lines[1].startswith("  warning: 25% of the texts of train are not in NFC")


def test_what_is_cut_is_counted_with_all_that_stands_around_a_text(collection: Path, tmp_path: Path) -> None:
    """Sources with a prefix and two marks, targets with one, against the tokenizers' own counts."""
    (tmp_path / "encoder").mkdir()
    e5(tmp_path / "encoder")
    raw = plain_recipe(collection)
    sizes = {"vocabulary": 300, "width": 16, "heads": 2, "feed_forward": 16, "layers": 1, "max_length": 15}
    raw["backbone"] = {
        "kind": "encoder_decoder",
        "encoder": str(tmp_path / "encoder"),
        "prefix": "query: ",
        "pieces": "char",
        **sizes,
    }
    run = Run.create(build_recipe(raw), tmp_path / "run")
    parts = run.build("cpu")
    by, target = parts.backbone.tokenizer, parts.backbone.target_tokenizer
    for found in cuts_of(run, parts).tasks:
        some = parts.collection.split(found.split).task(found.task).examples[:20]
        sources = sum(len(by(f"query: {each.source}")["input_ids"]) > 15 for each in some)
        targets = sum(len(target(each.target)["input_ids"]) > 15 for each in some)
        assert found.too_long == sources + targets
        assert 0 < sources < len(some)
    assert parts.backbone.cut([]) == parts.backbone.cut([], "target") == []


def test_it_says_whose_texts_the_new_pieces_cut_anew() -> None:
    cuts = Cuts([cut("train", "de", 150), replace(cut("test", "tyv", 150), anew=5)])
    assert list(about_cuts(cuts))[2] == "  25% of these texts are cut otherwise than before the new pieces"
