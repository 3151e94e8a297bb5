"""Verbs that use what was learnt: translate, push."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metanlp.cli._app import Info, RunPath, app, facts_of, quiet
from metanlp.errors import Problems, UserError

if TYPE_CHECKING:
    from metanlp.pipelines.catalogue import Catalogue
    from metanlp.pipelines.translation import TranslationPipeline


@app.command()
def translate(
    run: RunPath,
    adaptation: Annotated[
        str | None, typer.Option(help="its name, its folder or user/name on the Hub  [default: none, the start]")
    ] = None,
    tsv: Annotated[
        Path | None, typer.Option(metavar="FILE", help="translate a column of a table with a header")
    ] = None,
    column: Annotated[str | None, typer.Option(help="the column to translate  [default: source]")] = None,
    to: Annotated[
        str | None, typer.Option(help="the column to add, or to fill where it is empty  [default: target]")
    ] = None,
    po: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="fill a gettext catalogue, having learnt from its translated entries"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="the file that --tsv or --po writes  [default: standard output]")
    ] = None,
    beams: Annotated[int, typer.Option(min=1, help="width of the beam search")] = 4,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="longest translation, in pieces")] = 128,
    batch: Annotated[int, typer.Option(min=1, help="sentences translated at once")] = 32,
    info: Info = None,
    json: Annotated[bool, typer.Option("--json", help="one JSON object a line, the source in it")] = False,
) -> None:
    """Translate lines, a table or a gettext catalogue.

    Lines are read from standard input and written to standard output.
    """
    problems = Problems("translate")
    if tsv and po:
        problems.add("--tsv and --po are two jobs; ask for one at a time")
    if (column or to) and not tsv:
        problems.add("--column and --to name columns of a table; give it with --tsv")
    if out and not (tsv or po):
        problems.add(
            "--out is the file that --tsv or --po writes; what is read from standard input goes to standard output"
        )
    if json and (tsv or po):
        problems.add("--json is for lines of standard input; --tsv and --po write files of their own kind")
    if out and not out.parent.is_dir():
        problems.add(f"there is no folder {out.parent} for {out.name}")
    problems.raise_if_any()

    from metanlp.pipelines.catalogue import Catalogue
    from metanlp.pipelines.table import Table, translate_table
    from metanlp.pipelines.translation import TranslationPipeline

    table = Table(tsv, column or "source", to or "target") if tsv else None
    catalogue = Catalogue(po) if po else None
    quiet()
    pipeline = TranslationPipeline(
        run, adaptation, num_beams=beams, max_new_tokens=max_new_tokens, batch_size=batch, info=facts_of(info)
    )
    if table:
        _write(out, translate_table(pipeline, table, show=True))
    elif catalogue:
        _fill(pipeline, catalogue, out, adapted=adaptation is not None)
    else:
        _lines(pipeline, adaptation, json)


@app.command()
def push(
    run: RunPath,
    adaptation: Annotated[str, typer.Option(metavar="NAME", help="an adaptation of the run")],
    to: Annotated[str, typer.Option(metavar="WHERE", help="user/name on the Hugging Face Hub, or a folder, as ./mine")],
) -> None:
    """Publish an adaptation with its model card, or copy it.

    Its examples stay here. On the Hub it is private until you make it public there.
    """
    from metanlp.run import Run
    from metanlp.sharing import push_adaptation

    opened = Run.open(run)
    pushed = push_adaptation(opened, adaptation, to)
    if pushed.address is None:
        print(f"wrote {pushed.folder}")
    else:
        print(f"pushed {adaptation} to {pushed.address}, private where it is new")
    stayed = "; the card there was edited, and stayed as it was" if pushed.edited else ""
    print(f"  its card: {pushed.card}, of which every push takes a copy{stayed}")
    where = to if "/" in to else f"./{to}"
    print(f"  use it:   {opened.recipe.task.next_step.format(run=run, name=where)}")


def _lines(pipeline: TranslationPipeline, adaptation: str | None, json: bool) -> None:
    import json as codec
    from itertools import tee

    from metanlp.pipelines.lines import cut_ones_told, lines_of

    if sys.stdin.isatty():
        print("type or paste lines, then Ctrl-D on a line of its own", file=sys.stderr)
    lines, sources = tee(lines_of(sys.stdin.buffer, "standard input"))
    found = cut_ones_told(pipeline.stream(lines), pipeline.limit)
    for translation, source in zip(found, sources, strict=True):
        line = {"source": source, "translation": translation.text, "adaptation": adaptation}
        print(codec.dumps(line, ensure_ascii=False) if json else translation.text.replace("\n", " "), flush=True)


def _fill(pipeline: TranslationPipeline, catalogue: Catalogue, out: Path | None, *, adapted: bool) -> None:
    from metanlp.pipelines.catalogue import translate_catalogue

    path, examples = catalogue.file.path, len(catalogue.examples)
    filled = translate_catalogue(pipeline, catalogue, adapted=adapted, show=True)
    _write(out, catalogue.file.content())
    for left in filled.left:
        print(f"left empty {path}:{left.line}: {left.reason}: {left.text}", file=sys.stderr)
    learnt = "" if adapted else f", having learnt from {examples} that were translated"
    print(
        f"filled {len(filled.entries)} of {len(filled.entries) + len(filled.left)} untranslated entries of {path}{learnt}; "
        f"{filled.survived} of {filled.with_placeholders} with placeholders. They are marked fuzzy: read them through",
        file=sys.stderr,
    )


def _write(path: Path | None, content: bytes) -> None:
    """The whole of it at once: whoever looks sees the old file or the new one."""
    if path is None:
        sys.stdout.buffer.write(content)
        return
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        aside.write_bytes(content)
        aside.replace(path)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from None
