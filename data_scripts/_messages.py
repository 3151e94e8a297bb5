"""What messengers' exports have in common: who wrote what and when, and dates whose order nobody says."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import pairwise
from typing import NamedTuple

from metanlp.errors import UserError

TIME = r"(\d{1,2})[:.](\d{2})(?:[:.](\d{2}))?(?:\s?([AaPp])\.?\s?[Mm]\.?)?"  # 21:41, 9:41:05 PM, 9:41 p. m.
DATE = r"(\d{1,4})[./-]\s?(\d{1,2})[./-]\s?(\d{1,4})\.?"
Stamp = tuple[str | None, ...]  # what the groups of DATE, then TIME, found


class Message(NamedTuple):
    time: datetime
    speaker: str
    text: str


class Chat(NamedTuple):
    """One export's messages, in order, and whom else it names: members who never wrote, people who are mentioned."""

    messages: list[Message]
    names: frozenset[str] = frozenset()


def times_of(stamps: Sequence[Stamp]) -> list[datetime]:
    """The times of an export, whether it puts the day, the month or the year first.

    Where no date settles it (all days are 12 or less), it is the order in which time never runs backwards; where both do,
    the month is first beside AM and PM.
    """
    readings = [read for read in (_year_first, _day_first, _month_first) if all(_fits(read, stamp) for stamp in stamps)]
    if not readings:
        raise UserError(
            "its dates are of no order that is known: day, month, year or month, day, year or year, month, day"
        )
    if any(stamp[6] for stamp in stamps):
        readings.reverse()
    found = [[read(stamp) for stamp in stamps] for read in readings]
    return min(found, key=lambda times: sum(later < earlier for earlier, later in pairwise(times)))


def _fits(read: Callable[[Stamp], datetime], stamp: Stamp) -> bool:
    try:
        return read(stamp).year >= 1990
    except ValueError:
        return False


def _year_first(stamp: Stamp) -> datetime:
    if len(stamp[0] or "") != 4:
        raise ValueError("no year")
    return _time(stamp[0], stamp[1], stamp[2], stamp)


def _day_first(stamp: Stamp) -> datetime:
    return _time(stamp[2], stamp[1], stamp[0], stamp)


def _month_first(stamp: Stamp) -> datetime:
    return _time(stamp[2], stamp[0], stamp[1], stamp)


def _time(year: str | None, month: str | None, day: str | None, stamp: Stamp) -> datetime:
    hour, minute, second, half = int(stamp[3] or 0), int(stamp[4] or 0), int(stamp[5] or 0), (stamp[6] or "").lower()
    if half:
        hour = hour % 12 + (12 if half == "p" else 0)
    whole_year = int(year or 0) + (2000 if len(year or "") <= 2 else 0)
    return datetime(whole_year, int(month or 0), int(day or 0), hour, minute, second)


def iso_time(text: str) -> datetime:
    """The time of day where it was written, of 2023-12-31T21:41:05 with or without fractions and a time zone."""
    return datetime.fromisoformat(re.sub(r"\.\d+", "", text).replace("Z", "+00:00")).replace(tzinfo=None)
