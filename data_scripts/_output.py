"""How every data script ends: a folder whole or not at all, a table; on a mistake one clean sentence."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from data_scripts._common import SPLITS, Folder
from metanlp.config.yaml import write_yaml
from metanlp.errors import UserError


def check_out(out: Path, mark: str = "collection.yaml", thing: str = "task collection") -> Path:
    """The folder to write, resolved; UserError if something is there that is not such a `thing`, which has a file `mark`."""
    out = out.expanduser().resolve()
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out} is a file; give a folder")
    if out.is_dir() and any(out.iterdir()) and not (out / mark).is_file():
        raise UserError(
            f"--out {out} has files in it but no {mark}; it is no {thing} and stays; give a new or an empty folder"
        )
    parent = next(parent for parent in out.parents if parent.exists())
    if not (parent.is_dir() and os.access(parent, os.W_OK)):
        raise UserError(f"--out {out}: cannot write into {parent}")
    return out


def finish(collection: Folder, out: Path) -> None:
    """Check the collection, write it and print what was written."""
    collection.drop_small(1)
    collection.check()
    out = check_out(out)
    write(collection, out)
    report(collection, out)


def write(collection: Folder, out: Path) -> None:
    """Write the collection's folder; an older collection gives way."""
    replace(out, lambda folder: _fill(folder, collection))


def replace(out: Path, fill: Callable[[Path], None]) -> None:
    """Write a folder whole or not at all: beside `out`, then renamed; an older one gives way."""
    fresh, old = (out.with_name(f".{out.name}.{what}-{os.getpid()}") for what in ("new", "old"))
    fresh.mkdir(parents=True)
    try:
        fill(fresh)
        if out.exists():
            out.rename(old)
        fresh.rename(out)
    except BaseException:
        if old.exists() and not out.exists():
            old.rename(out)
        raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def write_file(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    path = path.expanduser().resolve()
    fresh = path.with_name(f".{path.name}.new-{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_text(text, encoding="utf-8", newline="\n")
        fresh.replace(path)
    except OSError as error:
        raise UserError(f"--out {path}: cannot be written: {error.strerror}") from None
    finally:
        fresh.unlink(missing_ok=True)


def _fill(folder: Path, collection: Folder) -> None:
    for split in SPLITS:
        (folder / split).mkdir()
    for name, text in collection.files():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    about = [
        collection.licence,
        collection.attribution,
        f"Source: {collection.source}",
        collection.terms.strip(),
    ]
    (folder / "LICENCE.txt").write_text("\n\n".join(about) + "\n", encoding="utf-8", newline="\n")
    write_yaml(folder / "collection.yaml", collection.facts())


def report(collection: Folder, out: Path) -> None:
    """Print what was written, by split, what was dropped and why, and whom to thank."""
    from rich.console import Console
    from rich.table import Table

    heading, *rows = collection.counts()
    table = Table(*map(str, heading))
    for split, *counts in rows:
        table.add_row(str(split), *(f"{count:,}" for count in counts))
    console = Console(highlight=False, soft_wrap=True, markup=False)
    console.print(table)
    for reason, count in collection.dropped.items():
        if count:
            console.print(f"dropped {count:,} {reason}")
    console.print(f"licence: {collection.licence}; {collection.attribution} (kept in LICENCE.txt)")
    console.print(f"wrote {out}")


def run(command: Callable[..., None]) -> None:
    """Run a script's one command; the user's mistake is one clean sentence on stderr and exit code 2."""
    import typer

    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(command)
    try:
        app()
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
