"""The benchmark of many people: both sides do the work that they say they do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import people
import pytest
from talker import make_talker

from metanlp.data.types import Episode, Example
from metanlp.run import Run

NEW, PEOPLE = 5, 3


@pytest.mark.parametrize(("together", "calls"), [(True, NEW), (False, NEW * PEOPLE)])
def test_everybody_is_answered_with_as_many_pieces(together: bool, calls: int, tmp_path: Path) -> None:
    """Also by a model that would end its answer at once; a piece is a pass, of all people or of one."""
    parts = Run.open(make_talker(tmp_path)).trained("cpu")
    model, passes = parts.backbone.model, []
    head = model.lm_head.forward

    def ends_at_once(states: Any) -> Any:
        passes.append(len(states))
        logits = head(states)
        logits[..., parts.backbone.form.end] += 1e4
        return logits

    model.lm_head.forward = ends_at_once
    episodes = [Episode(f"p{number}", {}, [], [Example(f"hello {number}", "x")], index=0) for number in range(PEOPLE)]
    found = people.answer(Run.open(tmp_path), parts, episodes, NEW, together=together)
    assert found == NEW * PEOPLE
    assert passes == [PEOPLE if together else 1] * calls
