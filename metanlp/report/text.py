"""The table and the sentences as plain text: for a terminal, and to paste into a page of docs."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap

from metanlp.report.sentences import Sample, choose_samples
from metanlp.report.summary import Summary, counted, number, of_all_columns, probability, signed, summarise
from metanlp.results import Comparison, Results, Row

WIDTH = 96  # columns of text; a table with more stands in blocks below each other
GAP = "   "


def tables(results: Results, metric: str) -> str:
    """The table of a metric by shots, with what its numbers rest on and the paired comparisons below it."""
    summary = summarise(results, metric)
    facts = [
        *(("", line) for line in wrap(summary.warning, WIDTH) if summary.common),
        ("", summary.episodes),
        ("passes", f"{summary.compute} (training, with the stages before)"),
        ("signature", summary.signature),
    ]
    notes = [f"{name}: {fact}" if name else fact for name, fact in facts]
    return "\n".join([f"{summary.title}; {summary.direction}", "", *_body(summary), "", *notes]) + "\n"


def samples(results: Results, count: int = 6) -> str:
    """A few adapted sentences beside their references, right ones and wrong ones; "" without predictions."""
    chosen = choose_samples(results, count)
    if not chosen:
        return ""
    shots = chosen[0].shots
    after = f"after {shots} examples" if shots else "without adapting"
    head = f"Outputs {after}; [brackets] differ from the reference, [] is missing"
    return "\n\n".join([head, *(_sample(sample) for sample in chosen)]) + "\n"


def _body(summary: Summary) -> list[str]:
    """Label and cells, in blocks of as many columns as fit."""
    heads = [f"{shots} shots" if shots != 1 else "1 shot" for shots in summary.shots]
    groups: list[list[tuple[str, list[str]]]] = [[("", heads)]]
    for line in summary.lines:
        groups[0].append((line.label, [value(row) for row in line.cells]))
    if summary.common:
        groups[0].insert(1, ("tasks", [f"{len(tasks):,}" for tasks in summary.columns]))
        head = f"{of_all_columns(len(summary.columns[-1]))}:"
        groups.append(
            [(head, [""] * len(heads)), *((line.label, [value(row) for row in line.cells]) for line in summary.common)]
        )
    for versus in (versus for versus in summary.versus if any(versus.cells)):
        groups.append(
            [
                (versus.label, [difference(each) for each in versus.cells]),
                ("", [probability(each.p) if each else "" for each in versus.cells]),
            ]
        )
    widths = [max(len(cells[at]) for group in groups for _, cells in group) for at in range(len(heads))]
    label = max(len(name) for group in groups for name, _ in group)
    lines: list[str] = []
    for block in _blocks(widths, WIDTH - label):
        for group in groups:
            lines += [""] if lines else []
            lines += [
                (f"{name:{label}}" + "".join(GAP + f"{cells[at]:>{widths[at]}}" for at in block)).rstrip()
                for name, cells in group
            ]
    unadapted = [(versus.label, versus.unadapted) for versus in summary.versus if versus.unadapted]
    if unadapted:
        lines.append("")
    for name, each in unadapted:
        over = f" ({counted(each.tasks, 'task')})" if each.tasks != len(summary.columns[0]) else ""
        lines.append(f"{name}, zero-shot: {difference(each)}, {probability(each.p)}{over}")
    return lines


def value(row: Row | None) -> str:
    """87.3 [84.1, 90.2]"""
    if row is None:
        return ""
    said = [number(found, row.metric) for found in (row.value, row.low, row.high) if found is not None]
    return said[0] if row.low is None else f"{said[0]} [{said[1]}, {said[2]}]"


def difference(comparison: Comparison | None) -> str:
    """+1.2 [-0.3, 2.6]"""
    if comparison is None:
        return ""
    low, high = (number(end, comparison.metric) for end in (comparison.low, comparison.high))
    return f"{signed(comparison.difference, comparison.metric)} [{low}, {high}]"


def _blocks(widths: Sequence[int], room: int) -> list[list[int]]:
    """Column numbers, cut so that each block fits the room, or is a single column."""
    blocks: list[list[int]] = [[]]
    for at, width in enumerate(widths):
        taken = sum(widths[other] + len(GAP) for other in blocks[-1])
        if blocks[-1] and taken + len(GAP) + width > room:
            blocks.append([])
        blocks[-1].append(at)
    return blocks


def _sample(sample: Sample) -> str:
    rows = [("source", "  ", sample.source), ("reference", "  ", sample.reference)]
    for output in sample.outputs:
        marked = "".join(piece.text if piece.kind == "same" else f"[{piece.text}]" for piece in output.pieces)
        rows.append((output.stage, "✓ " if output.right else "✗ ", output.text if output.right else marked))
    width = max(len(name) for name, _, _ in rows)
    return "\n".join([sample.task, *(f"  {name:{width}}  {sign}{text}" for name, sign, text in rows)])
