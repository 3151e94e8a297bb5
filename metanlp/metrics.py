"""Scores of texts with their signatures, 0..100, and what chance alone would do to any scores."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from metanlp.data.seeds import Draws
from metanlp.diversity import DISTINCT, SIGNATURE, distinct
from metanlp.errors import UserError, did_you_mean

METRICS = ("chrF", "chrF++", "BLEU", "TER", "exact_match")  # of texts against one reference each
PERPLEXITY, WHO_IS_IT = "perplexity", "who_is_it"  # of the real targets
CONSISTENCY = "C"  # with what is known of a person
LOWER_IS_BETTER = ("TER", PERPLEXITY)

_RESAMPLES = 2_000
_CELLS = 1 << 22  # resampled items held at once
_EXACT_FLIPS = 12  # up to so many pairs all 2^n signs are tried
_RANDOM_FLIPS = 10_000


@dataclass(frozen=True, slots=True)
class Score:
    """A metric's value over a corpus and the signature that says exactly what was computed."""

    metric: str
    value: float
    signature: str


@dataclass(frozen=True, slots=True)
class Interval:
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """How much better (a - b) and its interval; `p` is two-sided."""

    difference: float
    low: float
    high: float
    p: float


def score(metric: str, predictions: Sequence[str], references: Sequence[str]) -> Score:
    """The score of a corpus against one reference each, or (distinct-n) of itself.

    Raises UserError for an unknown metric, and ValueError where the numbers of texts differ or are 0:
    sacreBLEU would score 3 predictions against 1 reference as 100.
    """
    if metric in DISTINCT:
        return Score(metric, distinct(metric, predictions), SIGNATURE.format(metric=metric))
    return _Scorer(metric, predictions, references).score()


def sentence_bootstrap(
    metric: str, predictions: Sequence[str], references: Sequence[str], seed: int, level: float = 0.95
) -> Interval:
    """One task's score with its interval: the corpus score of sentences resampled with replacement (Koehn,
    2004).

    The statistics of a sentence (its matching n-grams) are computed once and added up for every resample. One
    sentence alone has no interval: `low` and `high` are its score.
    """
    scorer = _Scorer(metric, predictions, references)
    sums = np.concatenate([scorer.statistics[picks].sum(axis=1) for picks in _picks(len(predictions), seed)])
    low, high = _expanded_percentiles(np.array([scorer.value(total) for total in sums]), len(predictions), level)
    return Interval(scorer.value(scorer.statistics.sum(axis=0)), low, high)


def bootstrap_interval(values: Sequence[float], seed: int, level: float = 0.95) -> Interval | None:
    """The mean of the tasks' scores and its interval over tasks; None for fewer than two, which tell nothing
    of others.

    Tasks are resampled with replacement, so no shape of distribution is supposed and the interval stays
    within the scores seen; a t interval could promise chrF above 100. The plain percentile interval is too
    narrow for few tasks (12 tasks: 91% instead of 95%), hence Hesterberg's expansion (2015, "What Teachers
    Should Know About the Bootstrap"): the percentiles are moved outwards as far as t and the divisor n - 1
    would move a normal interval.
    """
    if len(values) < 2:
        return None
    scores = np.asarray(values, dtype=float)
    means = np.concatenate([scores[picks].mean(axis=1) for picks in _picks(len(scores), seed)])
    return Interval(float(scores.mean()), *_expanded_percentiles(means, len(scores), level))


def paired_bootstrap(a: Sequence[float], b: Sequence[float], seed: int, level: float = 0.95) -> Comparison | None:
    """By how much `a` beats `b` on the same tasks (a[i] and b[i] are of one task); None for fewer than two
    tasks.

    The interval is `bootstrap_interval` of the differences. `p` is how often the mean difference would be as
    far from 0 if chance decided which of the two scores is whose (signs flipped: all 2^n ways up to 12 tasks,
    then 10,000 random ones): exact for few tasks, where a p read off the bootstrap is not.
    """
    if len(a) != len(b):
        raise ValueError(f"paired scores: {len(a)} of one and {len(b)} of the other")
    differences = np.asarray(a, dtype=float) - np.asarray(b, dtype=float)
    interval = bootstrap_interval(differences.tolist(), seed, level)
    if interval is None:
        return None
    return Comparison(interval.value, interval.low, interval.high, _sign_flips(differences, seed))


class _Scorer:
    """A metric over sentence statistics that add up: (sentences, numbers), and the value of their sum."""

    def __init__(self, metric: str, predictions: Sequence[str], references: Sequence[str]) -> None:
        if metric not in METRICS:
            known = (*METRICS, *DISTINCT)
            raise UserError(f"no metric {metric!r}{did_you_mean(metric, known)}; there are {', '.join(known)}")
        if len(predictions) != len(references) or not predictions:
            counts = f"{len(predictions)} predictions and {len(references)} references"
            raise ValueError(f"{metric}: {counts}; there must be as many of both, and some")
        self.metric, self.engine = metric, _engine(metric)
        if self.engine is None:
            hits = [[_same(*pair), 1] for pair in zip(predictions, references, strict=True)]
            self.statistics = np.array(hits, dtype=float)
        else:
            rows = self.engine._extract_corpus_statistics(list(predictions), [list(references)])
            self.statistics = np.array(rows, dtype=float)

    def value(self, total: np.ndarray) -> float:
        if self.engine is None:
            return float(100 * total[0] / total[1])
        return float(self.engine._compute_score_from_stats(total.tolist()).score)

    def score(self) -> Score:
        if self.engine is None:
            signature = "exact_match|case:mixed|space:stripped|unicode:NFC|version:1"
        else:
            signature = str(self.engine.get_signature())
        return Score(self.metric, self.value(self.statistics.sum(axis=0)), signature)


def _engine(metric: str) -> Any:
    """sacreBLEU's metric; None for exact_match."""
    from sacrebleu.metrics import BLEU, CHRF, TER

    if metric == "exact_match":
        return None
    if metric in ("chrF", "chrF++"):
        return CHRF(word_order=2 if metric == "chrF++" else 0)
    return BLEU() if metric == "BLEU" else TER()


def _same(prediction: str, reference: str) -> bool:
    return unicodedata.normalize("NFC", prediction).strip() == unicodedata.normalize("NFC", reference).strip()


def _picks(count: int, seed: int) -> list[np.ndarray]:
    """Blocks (resamples, count) of which items each resample takes."""
    draws = Draws(seed, "bootstrap", count)
    block = max(1, min(_RESAMPLES, _CELLS // count))
    sizes = [min(block, _RESAMPLES - start) for start in range(0, _RESAMPLES, block)]
    high = np.uint64(32)
    return [
        (((draws.raw(size * count) >> high) * np.uint64(count)) >> high).astype(np.int64).reshape(size, count)
        for size in sizes
    ]


def _expanded_percentiles(resampled: np.ndarray, count: int, level: float) -> tuple[float, float]:
    if count < 2:
        return float(resampled[0]), float(resampled[0])
    t = _t_quantile(1 - (1 - level) / 2, count - 1)
    outside = NormalDist().cdf(-math.sqrt(count / (count - 1)) * t)
    low, high = np.quantile(resampled, [outside, 1 - outside])
    return float(low), float(high)


def _t_quantile(probability: float, freedom: int) -> float:
    """Student's t: with t = sqrt(freedom) tan(angle) its density becomes cos(angle)^(freedom - 1), added up
    here.
    """
    angles = np.linspace(0, math.pi / 2, 20_001)
    middles = (angles[1:] + angles[:-1]) / 2
    mass = np.concatenate([[0], np.cumsum(np.cos(middles) ** (freedom - 1))])
    angle = float(np.interp(2 * probability - 1, mass / mass[-1], angles))
    return math.sqrt(freedom) * math.tan(angle)


def _sign_flips(differences: np.ndarray, seed: int) -> float:
    count = len(differences)
    observed = abs(differences.sum()) - 1e-12 * abs(differences).sum()  # rounding must not make equals differ
    if count <= _EXACT_FLIPS:
        bits = (np.arange(2**count)[:, None] >> np.arange(count)) & 1  # (2^count, count)
        return float(np.mean(abs((1 - 2 * bits) @ differences) >= observed))
    draws = Draws(seed, "sign flips", count)
    as_far = 0
    for _ in range(0, _RANDOM_FLIPS, 100):
        bits = (draws.raw(100 * count) >> np.uint64(63)).astype(np.int64).reshape(100, count)
        as_far += int(np.sum(abs((1 - 2 * bits) @ differences) >= observed))
    return (as_far + 1) / (_RANDOM_FLIPS + 1)
