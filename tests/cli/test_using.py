"""Commands that use what was learnt: translate, push."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from terminal import SCRIPT, Done, Metanlp, pairs


def test_push_to_a_folder_and_to_a_hub_that_is_not_there(metanlp_: Metanlp, home: Path, tmp_path: Path) -> None:
    run, file, folder = home / "runs" / "one", tmp_path / "new.tsv", tmp_path / "mine"
    file.write_text("source\ttarget\n" + "\n".join(pairs(home, "test", "c9")[:4]) + "\n")
    assert metanlp_("adapt", run, file, "--name", "pushed").code == 0
    done = metanlp_("push", run, "--adaptation", "pushed", "--to", folder)
    assert done.code == 0
    card = run / "meta" / "adaptations" / "pushed" / "README.md"
    assert done.out.startswith(f"wrote {folder}\n  its card: {card}, of which every push takes a copy\n")
    options = ["--max-new-tokens", "4"]
    there, here = (
        metanlp_("translate", run, "--adaptation", where, *options, stdin=b"abc\n") for where in (folder, "pushed")
    )
    assert there == here
    assert there.code == 0
    offline = metanlp_("push", run, "--adaptation", "pushed", "--to", "anna/pushed")
    assert offline.code == 2
    assert f"wrote {run / 'meta' / 'published' / 'pushed'}, push it later" in offline.err
    assert offline.out == ""


LINES = ["abc 3", "", "ab", "  ", "a" * 40, "hgf 3\r", "tab\there", "bad 3"]


def test_translate_keeps_order_and_number_of_lines(metanlp_: Metanlp, home: Path) -> None:
    """Each line as if it were alone, whatever stands around it; empty ones stay empty."""
    run = home / "runs" / "one"
    text = "\ufeff" + "\n".join(LINES)
    options = ["--beams", "2", "--max-new-tokens", "6", "--batch", "3"]
    together = metanlp_("translate", run, *options, stdin=text.encode())
    assert together.code == 0
    lines = together.out.split("\n")
    assert lines.pop() == ""
    assert len(lines) == len(LINES)
    assert lines[1] == lines[3] == ""
    assert len(set(lines)) > 2, "a model that writes the same for every line would pass"
    for source, line in zip(LINES, lines, strict=True):
        alone = metanlp_("translate", run, *options, stdin=f"{source}\n".encode())
        assert alone.out == f"{line}\n"


def test_translate_as_json(metanlp_: Metanlp, home: Path, tmp_path: Path) -> None:
    run = home / "runs" / "one"
    file = tmp_path / "new.tsv"
    file.write_text("source\ttarget\n" + "\n".join(pairs(home, "test", "c10")[:4]) + "\n")
    assert metanlp_("adapt", run, file, "--name", "ten").code == 0
    options = ["--adaptation", "ten", "--max-new-tokens", "4"]
    text = "aé\n\nbc\n".encode()
    plain = metanlp_("translate", run, *options, stdin=text).out.splitlines()
    rows = [json.loads(line) for line in metanlp_("translate", run, *options, "--json", stdin=text).out.splitlines()]
    assert [row["source"] for row in rows] == ["aé", "", "bc"]
    assert [row["translation"] for row in rows] == plain
    assert {row["adaptation"] for row in rows} == {"ten"}


def test_translate_a_table(metanlp_: Metanlp, home: Path, tmp_path: Path) -> None:
    """The column has what the lines would have been translated to; standard output and --out get the same."""
    run, table, out = home / "runs" / "one", tmp_path / "table.tsv", tmp_path / "out.tsv"
    texts = ["abc", "", "hgf 3", "a" * 300]
    table.write_text("id\ttext\n" + "".join(f"{number}\t{text}\n" for number, text in enumerate(texts)))
    options = ["--tsv", table, "--column", "text", "--to", "new", "--max-new-tokens", "4"]
    lines = metanlp_("translate", run, "--max-new-tokens", "4", stdin="\n".join(texts).encode()).out.splitlines()
    done = metanlp_("translate", run, *options)
    assert done.code == 0
    rows = [row.split("\t") for row in done.out.splitlines()]
    assert rows == [["id", "text", "new"], *[[str(n), *pair] for n, pair in enumerate(zip(texts, lines, strict=True))]]
    assert "line 5 is longer than the 256 pieces" in done.err
    assert metanlp_("translate", run, *options, "--out", out).out == ""
    assert out.read_text() == done.out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.tsv", "table.tsv"]


PO = """msgid ""
msgstr "Content-Type: text/plain; charset=UTF-8\\n"

{entries}
msgid "abc"
msgstr ""

#, python-format
msgid "bad %(n)s"
msgstr ""
"""


def test_translate_a_catalogue(metanlp_: Metanlp, home: Path, tmp_path: Path) -> None:
    """It learns, fills and lists; nothing is left behind in the run."""
    import polib

    run, po, out = home / "runs" / "one", tmp_path / "new.po", tmp_path / "out.po"
    entries = [row.split("\t") for row in pairs(home, "test", "c9")[:10]]
    po.write_text(PO.format(entries="\n".join(f'msgid "{source}"\nmsgstr "{target}"\n' for source, target in entries)))
    before = sorted((run / "meta").rglob("*"))
    done = metanlp_("translate", run, "--po", po, "--out", out, "--max-new-tokens", "6")
    assert done.code == 0
    assert done.out == ""
    assert sorted((run / "meta").rglob("*")) == before
    said = done.err.splitlines()
    assert any(line.startswith("adapting new: ") for line in said)
    assert any(line.startswith(f"left empty {po}:37: '%(n)s' is lost: bad %(n)s") for line in said)
    assert said[-1].startswith(
        f"filled 1 of 2 untranslated entries of {po}, having learnt from 10 that were translated"
    )
    assert "0 of 1 with placeholders" in said[-1]
    *rest, abc, bad = polib.pofile(str(out))
    assert [(each.msgid, each.msgstr) for each in rest] == [tuple(each) for each in entries]
    assert abc.fuzzy
    assert abc.msgstr
    assert not bad.msgstr
    assert not bad.fuzzy


def test_translate_a_catalogue_with_an_adaptation(metanlp_: Metanlp, home: Path, tmp_path: Path) -> None:
    run, po, file = home / "runs" / "one", tmp_path / "new.po", tmp_path / "c9.tsv"
    po.write_text(PO.format(entries=""))
    nothing = metanlp_("translate", run, "--po", po)
    assert nothing.code == 2
    assert "has no translated entry to learn from; give --adaptation" in nothing.err
    file.write_text("source\ttarget\n" + "\n".join(pairs(home, "test", "c9")[:4]) + "\n")
    assert metanlp_("adapt", run, file, "--name", "nine9").code == 0
    options = ["--adaptation", "nine9", "--max-new-tokens", "6"]
    text = metanlp_("translate", run, *options, stdin=b"abc\n").out.strip()
    done = metanlp_("translate", run, "--po", po, *options)
    assert done.code == 0
    assert f'#, fuzzy\nmsgid "abc"\nmsgstr "{text}"\n' in done.out
    assert "adapting" not in done.err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--tsv", "x.tsv", "--po", "x.po"], "--tsv and --po are two jobs"),
        (["--column", "text", "--out", "x", "--json"], "2 problems"),
        (["--tsv", "x.tsv", "--json"], "--json is for lines"),
        (["--tsv", "x.tsv"], "x.tsv: No such file"),
        (["--tsv", "x.tsv", "--out", "nowhere/x.tsv"], "there is no folder nowhere"),
        (["--po", "x.po"], "there is no file x.po"),
    ],
)
def test_translate_refuses_jobs_that_do_not_go_together(
    metanlp_: Metanlp, home: Path, options: list[str], says: str
) -> None:
    done = metanlp_("translate", home / "runs" / "one", *options)
    assert done.code == 2
    assert says in done.err


def test_translate_nothing_is_nothing(metanlp_: Metanlp, home: Path) -> None:
    assert metanlp_("translate", home / "runs" / "one") == Done(0, "", "")


def test_translate_tells_which_lines_were_cut(metanlp_: Metanlp, home: Path) -> None:
    text = "\n".join(["abc", "a" * 300, "", "b" * 300, "c" * 300]).encode()
    done = metanlp_("translate", home / "runs" / "one", "--max-new-tokens", "2", "--batch", "2", stdin=text)
    assert done.code == 0
    assert done.out.count("\n") == 5
    assert done.err.splitlines() == [
        "line 2 is longer than the 256 pieces that the model reads; its end is not translated",
        "so are 2 more: 4, 5",
    ]


def test_translate_refuses_bad_utf8_and_names_the_line(metanlp_: Metanlp, home: Path) -> None:
    done = metanlp_("translate", home / "runs" / "one", stdin=b"abc\nde\xfff\n")
    assert done.code == 2
    assert done.out == ""
    assert done.err == "metanlp: standard input, line 2: not UTF-8 at byte 2\n"


def test_translate_names_the_adaptations_there_are(metanlp_: Metanlp, home: Path) -> None:
    done = metanlp_("translate", home / "runs" / "two", "--adaptation", "zulu", stdin=b"abc\n")
    assert done.code == 2
    assert "there are none yet" in done.err


def test_translate_in_a_process_of_its_own(home: Path) -> None:
    command = [*SCRIPT, "translate", str(home / "runs" / "one"), "--max-new-tokens", "4"]
    done = subprocess.run(command, input=b"abc\n\nde\n", capture_output=True, check=True)
    assert done.stdout.count(b"\n") == 3
    assert done.stdout.split(b"\n")[1] == b""
    assert done.stderr == b""
