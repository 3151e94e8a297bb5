from __future__ import annotations

import subprocess
import sys
from typing import get_args

import numpy as np
import pytest
from sacrebleu.metrics import BLEU, CHRF, TER

from metanlp.config.recipe import Metric
from metanlp.diversity import DISTINCT
from metanlp.errors import UserError
from metanlp.metrics import (
    LOWER_IS_BETTER,
    METRICS,
    PERPLEXITY,
    WHO_IS_IT,
    Comparison,
    _t_quantile,
    bootstrap_interval,
    paired_bootstrap,
    score,
    sentence_bootstrap,
)

HYPOTHESES = ["the cat sat on mat", "I like green tea a lot", "hello world"]
REFERENCES = ["the cat sat on the mat", "I like green tea very much", "hello there world"]


@pytest.mark.parametrize(
    ("metric", "value", "signature"),
    [  # what the command line of sacreBLEU 2.6.0 printed for these lines
        ("BLEU", 50.0427, "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:"),
        ("chrF", 56.6337, "nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:"),
        ("chrF++", 58.3920, "nrefs:1|case:mixed|eff:yes|nc:6|nw:2|space:no|version:"),
        ("TER", 26.6667, "nrefs:1|case:lc|tok:tercom|norm:no|punct:yes|asian:no|version:"),
    ],
)
def test_scores_are_those_of_sacrebleus_command(metric: str, value: float, signature: str) -> None:
    result = score(metric, HYPOTHESES, REFERENCES)
    assert result.metric == metric
    assert result.value == pytest.approx(value, abs=5e-5)
    assert result.signature.startswith(signature)


def test_chrf_by_hand() -> None:
    # "ab" against "ac": 1 of 2 letters match, 0 of 1 pair; precision = recall = (1/2 + 0) / 2
    assert score("chrF", ["ab"], ["ac"]).value == pytest.approx(25)


def test_exact_match_by_hand() -> None:
    decomposed = "e\u0301"
    result = score("exact_match", ["a", " b ", "é", "A", "c d"], ["a", "b", decomposed, "a", "c  d"])
    assert result.value == 60
    assert result.signature == "exact_match|case:mixed|space:stripped|unicode:NFC|version:1"


@pytest.mark.parametrize("metric", METRICS)
def test_lengths_must_agree(metric: str) -> None:
    for predictions, references in ((["a"] * 3, ["a"]), (["a"], ["a", "b"]), ([], [])):
        with pytest.raises(ValueError, match="there must be as many of both"):
            score(metric, predictions, references)
        with pytest.raises(ValueError, match="there must be as many of both"):
            sentence_bootstrap(metric, predictions, references, seed=0)
    assert score(metric, ["a b c d e f"], ["a b c d e f"]).value == pytest.approx(0 if metric == "TER" else 100)


def test_a_recipe_may_ask_for_all_of_them() -> None:
    assert set(get_args(Metric)) == {*METRICS, *DISTINCT, PERPLEXITY, WHO_IS_IT}
    assert set(LOWER_IS_BETTER) <= set(get_args(Metric))


def test_unknown_metric() -> None:
    with pytest.raises(UserError, match=r"no metric 'chrf' \(did you mean 'chrF'\?\); there are chrF, chrF\+\+, BLEU"):
        score("chrf", ["a"], ["a"])


@pytest.mark.parametrize(
    ("metric", "peer"), [("BLEU", BLEU()), ("chrF", CHRF()), ("chrF++", CHRF(word_order=2)), ("TER", TER())]
)
def test_sentence_bootstrap_agrees_with_sacrebleus(metric: str, peer, monkeypatch) -> None:
    words = np.random.default_rng(0).integers(0, 12, (60, 9))
    references = [" ".join(f"w{word}" for word in row) for row in words]
    hypotheses = [
        " ".join(f"w{word + (place * 7 + line) % 5 // 4}" for place, word in enumerate(row))
        for line, row in enumerate(words)
    ]
    monkeypatch.setenv("SACREBLEU_SEED", "1")
    theirs = peer.corpus_score(hypotheses, [references], n_bootstrap=1000)
    ours = sentence_bootstrap(metric, hypotheses, references, seed=1)
    assert ours.value == pytest.approx(theirs.score)
    # theirs is the plain percentile interval; ours wider by sqrt(60/59) t(59)/z = 1.03; both are random
    assert (ours.high - ours.low) / (2 * theirs._ci) == pytest.approx(1.03, rel=0.12)
    assert ours == sentence_bootstrap(metric, hypotheses, references, seed=1)
    assert ours != sentence_bootstrap(metric, hypotheses, references, seed=2)


def test_sentence_bootstrap_of_exact_match_is_binomial() -> None:
    hits = ["yes"] * 60 + ["no"] * 40
    interval = sentence_bootstrap("exact_match", hits, ["yes"] * 100, seed=0)
    # mean of 100 coin throws: 60 +- t(99) sqrt(.6 x .4 / 99) = 60 +- 9.77
    assert interval.value == 60
    assert interval.low == pytest.approx(60 - 9.77, abs=1.01)  # whole numbers
    assert interval.high == pytest.approx(60 + 9.77, abs=1.01)
    alone = sentence_bootstrap("chrF", ["ab"], ["ac"], seed=0)
    assert alone.value == alone.low == alone.high == pytest.approx(25)


def test_many_tasks_give_the_normal_interval() -> None:
    values = np.random.default_rng(1).normal(30, 4, 400)
    interval = bootstrap_interval(values.tolist(), seed=0)
    half = 1.966 * values.std(ddof=1) / 20  # t(399)
    assert interval.value == pytest.approx(values.mean())
    assert interval.low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_twelve_tasks_are_covered_as_often_as_promised() -> None:
    random = np.random.default_rng(2)
    covered = 0
    for trial in range(300):
        interval = bootstrap_interval(random.normal(0, 1, 12).tolist(), seed=trial)
        covered += interval.low <= 0 <= interval.high
    assert 0.92 <= covered / 300 <= 0.98  # the plain percentile interval covers 0.90


@pytest.mark.parametrize(("freedom", "t"), [(1, 12.7062), (2, 4.30265), (11, 2.20099), (59, 2.00100), (10**5, 1.95999)])
def test_t_is_that_of_the_tables(freedom: int, t: float) -> None:
    assert _t_quantile(0.975, freedom) == pytest.approx(t, rel=1e-4)


def test_few_tasks() -> None:
    assert bootstrap_interval([3.0], seed=0) is None
    assert paired_bootstrap([3.0], [2.0], seed=0) is None
    two = bootstrap_interval([10.0, 20.0], seed=0)
    assert (two.value, two.low, two.high) == (15, 10, 20)  # nothing outside of what was seen
    same = bootstrap_interval([7.0] * 5, seed=0)
    assert (same.low, same.high) == (7, 7)


def test_levels_are_nested() -> None:
    values = list(np.random.default_rng(3).normal(0, 1, 30))
    wide, narrow = (
        bootstrap_interval(values, seed=0, level=0.99),
        bootstrap_interval(values, seed=0, level=0.8),
    )
    assert wide.low < narrow.low < narrow.high < wide.high


def test_paired_bootstrap_by_hand() -> None:
    # Of the 2^4 sign patterns of 2, 1, 1, 3 only all plus and all minus have a sum as far from 0 as 7
    result = paired_bootstrap([12, 11, 21, 33], [10, 10, 20, 30], seed=0)
    assert (result.difference, result.p) == (1.75, 2 / 16)
    # 1, -1, 2: sums of signs 4 2 0 -2 (x2 mirrored): |sum| >= 2 in 6 of 8
    assert paired_bootstrap([1, 0, 2], [0, 1, 0], seed=0).p == 6 / 8
    # tenths add up differently in another order; in whole tenths 28 of 32 sums are as far from 0 as 4
    assert paired_bootstrap([0.4, 0.7, 0, 0, 0.7], [0, 0, 0.6, 0.8, 0], seed=0).p == 28 / 32
    assert paired_bootstrap([5, 6], [5, 6], seed=0) == Comparison(0, 0, 0, 1)
    with pytest.raises(ValueError, match="2 of one and 1 of the other"):
        paired_bootstrap([1, 2], [1], seed=0)


def test_random_sign_flips_approach_the_exact_p() -> None:
    # 13 differences of 1: all of one sign in 2 of the 2^13 ways
    all_better = paired_bootstrap([1] * 13, [0] * 13, seed=0).p
    assert all_better == pytest.approx(2 / 2**13, abs=5e-4)
    assert all_better > 0
    # 9 : 4 or further apart: 2 x (715 + 286 + 78 + 13 + 1) of the 2^13 ways
    nine = paired_bootstrap([1] * 9 + [0] * 4, [0] * 9 + [1] * 4, seed=0).p
    assert nine == pytest.approx(2186 / 8192, abs=0.02)


def test_paired_is_narrower_than_apart() -> None:
    random = np.random.default_rng(4)
    tasks = random.normal(40, 15, 15)
    a, b = tasks + 2 + random.normal(0, 1, 15), tasks + random.normal(0, 1, 15)
    result = paired_bootstrap(a.tolist(), b.tolist(), seed=0)
    assert 0 < result.low < 2 < result.high
    assert result.p < 0.01
    apart = bootstrap_interval(a.tolist(), seed=0)
    assert result.high - result.low < (apart.high - apart.low) / 3


def test_scipy_is_not_imported() -> None:
    code = (
        "import sys, metanlp.metrics as m; m.sentence_bootstrap('BLEU', ['a'] * 3, ['b'] * 3, seed=0);"
        "m.paired_bootstrap([1, 2], [2, 4], seed=0); sys.exit(bool({'scipy', 'torch'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
