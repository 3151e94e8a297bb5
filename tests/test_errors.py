"""What errors of other libraries say in a line of ours."""

from __future__ import annotations

import pytest

from metanlp.errors import first_line


@pytest.mark.parametrize(
    ("error", "says"),
    [(OSError("no file\nlook there"), "no file"), (ValueError("\n  odd\n"), "odd"), (KeyError(), "KeyError")],
)
def test_the_first_line_of_an_error(error: Exception, says: str) -> None:
    assert first_line(error) == says
