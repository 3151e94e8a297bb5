"""Verbs that use what was learnt: translate."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from metanlp.cli._app import Info, RunPath, app, facts_of, quiet


@app.command()
def translate(
    run: RunPath,
    adaptation: Annotated[str | None, typer.Option(help="an adaptation's name  [default: none, the start]")] = None,
    beams: Annotated[int, typer.Option(min=1, help="width of the beam search")] = 4,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="longest translation, in pieces")] = 128,
    batch: Annotated[int, typer.Option(min=1, help="sentences translated at once")] = 32,
    info: Info = None,
    json: Annotated[bool, typer.Option("--json", help="one JSON object a line, the source in it")] = False,
) -> None:
    """Translate standard input to standard output, line by line."""
    import json as codec
    from itertools import tee

    from metanlp.pipelines.lines import cut_ones_told, lines_of
    from metanlp.pipelines.translation import TranslationPipeline

    quiet()
    pipeline = TranslationPipeline(
        run, adaptation, num_beams=beams, max_new_tokens=max_new_tokens, batch_size=batch, info=facts_of(info)
    )
    if sys.stdin.isatty():
        print("type or paste lines, then Ctrl-D on a line of its own", file=sys.stderr)
    lines, sources = tee(lines_of(sys.stdin.buffer, "standard input"))
    found = cut_ones_told(pipeline.stream(lines), pipeline.limit)
    for translation, source in zip(found, sources, strict=True):
        line = {"source": source, "translation": translation.text, "adaptation": adaptation}
        print(codec.dumps(line, ensure_ascii=False) if json else translation.text.replace("\n", " "), flush=True)
