"""What the Hub or a folder has, or an error that says what would help."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from metanlp.errors import UserError, first_line


def from_pretrained(cls: Any, where: str, revision: str | None, made_by: str = "", **options: Any) -> Any:
    """`cls.from_pretrained` of a Hub name or folder, whose own code is never run. UserError where there is none.

    `made_by` is the command that makes the folder.
    """
    revision = None if Path(where).is_dir() else revision
    try:
        return cls.from_pretrained(where, revision=revision, trust_remote_code=False, **options)
    except (OSError, ValueError) as error:
        made = f"; make it with: {made_by}" if made_by else ""
        raise UserError(
            f"backbone.model {where!r} is neither a folder nor a reachable Hub model: {first_line(error)}{made}"
        ) from error
