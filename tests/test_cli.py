"""The door: exit codes, what is printed where, and that it opens at once."""

from __future__ import annotations

import io
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from makers import plain_recipe, write_collection

import metanlp.__main__
from metanlp.config.load import build_recipe, recipe_names
from metanlp.config.yaml import read_yaml, write_yaml
from metanlp.training import meta_train

SCRIPT = [str(Path(sys.executable).with_name("metanlp"))]
MODULE = [sys.executable, "-m", "metanlp"]
both = pytest.mark.parametrize("door", [SCRIPT, MODULE], ids=["metanlp", "python -m metanlp"])
LIGHT = [["--help"], ["train", "--help"], ["recipes"], ["show", "demo/numbers"]]


class Done(NamedTuple):
    code: int
    out: str
    err: str


Metanlp = Callable[..., Done]


@pytest.fixture
def metanlp_(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Metanlp:
    """`metanlp_("runs", folder)` as in a terminal, but in this process, which has torch loaded already."""

    def run(*arguments: Any, stdin: bytes = b"") -> Done:
        monkeypatch.setattr(sys, "argv", ["metanlp", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            metanlp.__main__.main()
        return Done(ended.value.code or 0, *capfd.readouterr())

    return run


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a collection, a recipe file and two trained runs of it, the second with two stages."""
    home = tmp_path_factory.mktemp("home")
    raw = plain_recipe(write_collection(home / "ciphers"))
    write_yaml(home / "ciphers.yaml", raw)
    meta_train(build_recipe(raw), home / "runs" / "one")
    raw["stages"] = {"start": {"algorithm": "joint", "train": {"steps": 3}}, "meta": raw["stages"]["meta"]}
    meta_train(build_recipe(raw), home / "runs" / "two")
    return home


def recipe_with(home: Path, path: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    raw = read_yaml(home / "ciphers.yaml")
    change(raw)
    write_yaml(path, raw)
    return path


def pairs(home: Path, split: str, task: str) -> list[str]:
    """The rows of a task's file, each once."""
    return list(dict.fromkeys((home / "ciphers" / split / f"{task}.tsv").read_text().splitlines()[1:]))


def tasks(home: Path) -> list[tuple[str, str]]:
    """Splits and names, the training tasks first."""
    return [
        (split, path.stem) for split in ("train", "valid", "test") for path in (home / "ciphers" / split).glob("*.tsv")
    ]


def test_every_way_in_is_the_same_door(tmp_path: Path) -> None:
    helps = [
        subprocess.run([*door, "--help"], capture_output=True, text=True, check=True).stdout
        for door in (SCRIPT, MODULE)
    ]
    assert helps[0].replace("Usage: metanlp", "") == helps[1].replace("Usage: python -m metanlp", "")
    assert "..." not in helps[0].split("Commands:")[1], "the first sentence of a command's help is too long for a line"


@both
@pytest.mark.parametrize("arguments", LIGHT, ids=" ".join)
def test_light_commands_answer_at_once(door: list[str], arguments: list[str]) -> None:
    def once() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([*door, *arguments], capture_output=True, text=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert len(done.stdout) > 100
        assert not done.stderr
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(once() for _ in range(2)) < 0.5


@pytest.mark.parametrize("arguments", LIGHT, ids=" ".join)
def test_light_commands_do_not_load_torch(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom metanlp.__main__ import main\nheavy = {'torch', 'transformers', 'datasets', 'numpy'}\n"
        "try: main()\nfinally: print(*sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == ""


@both
def test_a_mistake_is_one_clean_sentence_and_exit_code_2(door: list[str]) -> None:
    done = subprocess.run([*door, "show", "demo/number"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("metanlp: no recipe 'demo/number' (did you mean 'demo/numbers'?); there are ")
    assert done.stderr.count("\n") == 1


def test_a_bug_is_exit_code_1_with_a_traceback() -> None:
    code = "import metanlp.config.load as load\nload.recipe_names = None\nfrom metanlp.__main__ import main\nmain()"
    done = subprocess.run([sys.executable, "-c", code, "recipes"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "TypeError" in done.stderr


@both
def test_a_reader_who_leaves_is_no_bug(door: list[str]) -> None:
    """As in `metanlp show demo/numbers | head -1`: the end that any Unix command meets, and nothing on the screen."""
    ours, theirs = os.pipe()
    os.close(ours)
    done = subprocess.run([*door, "show", "demo/numbers"], stdout=theirs, stderr=subprocess.PIPE, check=False)
    os.close(theirs)
    assert done.returncode == -signal.SIGPIPE
    assert done.stderr == b""


@pytest.mark.parametrize(
    ("door", "sent", "code"), [(SCRIPT, signal.SIGTERM, 143), (MODULE, signal.SIGINT, 130)], ids=["SIGTERM", "SIGINT"]
)
def test_stopping_saves_and_says_so(
    door: list[str], sent: int, code: int, home: Path, tmp_path: Path, metanlp_: Metanlp
) -> None:
    more = ["stages.meta.train.steps=100000", "stages.meta.train.save_every=100000"]
    command = [*door, "train", str(home / "ciphers.yaml"), *more, "--out", str(tmp_path / "runs" / "long")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    metrics = tmp_path / "runs" / "long" / "meta" / "metrics.jsonl"
    while not (metrics.exists() and metrics.read_text().count("\n") >= 3):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(sent)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert out == ""
    assert err.splitlines()[-1] == "metanlp: stopped; everything is saved, and the same command goes on from there"
    (saved,) = (metrics.parent / "checkpoints").glob("step-*")
    step = json.loads((saved / "state.json").read_text())["step"]
    assert 3 <= step < 100_000
    assert step == json.loads(metrics.read_text().splitlines()[-1])["step"]
    assert f"{step:,} of 100,000 steps" in metanlp_("runs", tmp_path / "runs").out


def test_bare_and_unknown_commands_show_the_way(metanlp_: Metanlp) -> None:
    bare = metanlp_()
    assert bare.code == 2
    assert "metanlp train demo/numbers" in bare.out + bare.err
    unknown = metanlp_("trian", "demo/numbers")
    assert unknown.code == 2
    assert "No such command 'trian'" in unknown.err
    assert metanlp_("--version").out == "metanlp 0.1.0\n"


def test_recipes_lists_each_with_what_it_is_for(metanlp_: Metanlp) -> None:
    lines = metanlp_("recipes").out.splitlines()
    assert [line.split()[0] for line in lines] == recipe_names()
    assert all(len(line.split()) > 4 for line in lines)


def test_show_takes_overrides(metanlp_: Metanlp) -> None:
    assert "steps: 7 " in metanlp_("show", "debug/numbers", "stages.meta.train.steps=7").out
    wrong = metanlp_("show", "debug/numbers", "stages.meta.train.step=7", "sed=1")
    assert wrong.code == 2
    assert "2 problems" in wrong.err


def test_copy_starts_a_recipe_whose_first_line_runs_it(metanlp_: Metanlp, tmp_path: Path) -> None:
    mine = tmp_path / "new" / "mine.yaml"
    assert metanlp_("copy", "debug/numbers", mine).code == 0
    assert mine.read_text().splitlines()[0] == f"# metanlp train {mine}"
    assert metanlp_("show", mine).out == metanlp_("show", "debug/numbers").out
    again = metanlp_("copy", "debug/numbers", mine)
    assert again.code == 2
    assert "exists already" in again.err
    assert metanlp_("copy", "debug/numbers", tmp_path / "mine.txt").code == 2
    assert metanlp_("copy", "debug/number", tmp_path / "other.yaml").code == 2
    assert not (tmp_path / "other.yaml").exists()


def test_check_finds_nothing_in_a_sound_recipe(metanlp_: Metanlp, home: Path) -> None:
    done = metanlp_("check", home / "ciphers.yaml")
    assert done.code == 0
    assert done.err == ""
    assert done.out.splitlines()[-1] == "no problems found"
    sizes = [len(pairs(home, "train", f"c{key}")) for key in (1, 2, 3, 5, 6, 7)]
    assert f"train      6 tasks,        {sum(sizes)} examples, {min(sizes)} to {max(sizes)} a task" in done.out
    assert f"left out: {240 + 80 + 80 - sum(len(pairs(home, *t)) for t in tasks(home))} duplicate" in done.out
    assert "1 stage, meta" in done.out
    assert "0.00% unknown" in done.out
    assert re.search(r"^stage meta: 0\.\d\dM fast weights \(full\), 96 passes", done.out, re.M)
    assert not (home / "runs" / "ciphers").exists()


def test_check_tells_all_problems_at_once(metanlp_: Metanlp, home: Path, tmp_path: Path) -> None:
    def change(raw: dict[str, Any]) -> None:
        raw["evaluation"]["shots"] = [0, 64]
        raw["stages"]["meta"]["train"]["share"] = [0, 0.01]

    done = metanlp_("check", recipe_with(home, tmp_path / "wrong.yaml", change))
    assert done.code == 2
    assert done.out == ""
    assert "5 problems" in done.err
    assert "stages.meta: the split train has no tasks" in done.err
    for split, task in tasks(home)[6:]:
        assert f"{split}: task '{task}' has {len(pairs(home, split, task))} examples, too few for 64 shots" in done.err


def test_check_counts_the_leaks_it_does_not_name(metanlp_: Metanlp, home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "leaky"
    (folder / "train").mkdir(parents=True)
    (folder / "test").mkdir()
    rows = "source\ttarget\n" + "".join(f"the sentence number {n}\tder Satz Nummer {n}\n" for n in range(20))
    (folder / "train" / "a.tsv").write_text(rows)
    for task in range(8):
        (folder / "test" / f"t{task}.tsv").write_text(rows)
    (folder / "collection.yaml").write_text("family: translation\nlicence: CC0\nsource: here\nparallel: false\n")
    recipe = recipe_with(home, tmp_path / "leaky.yaml", lambda raw: raw["task"].update(collection=str(folder)))
    done = metanlp_("check", recipe)
    assert done.code == 2
    assert done.err.count("leak: ") == 5
    assert "and 3 leaks more" in done.err


@pytest.mark.parametrize(("examples", "says"), [(0, "has no split 'valid'"), (12, "too few for 16 shots")])
def test_check_sees_that_validation_would_fail(
    metanlp_: Metanlp, home: Path, tmp_path: Path, examples: int, says: str
) -> None:
    """It would fail in the middle of training."""
    collection = write_collection(tmp_path / "ciphers")
    for path in (collection / "valid").glob("*"):
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(lines[: examples + 1])) if examples else path.unlink()
    if not examples:
        (collection / "valid").rmdir()

    def change(raw: dict[str, Any]) -> None:
        raw["task"]["collection"] = str(collection)
        raw["stages"]["meta"]["train"]["validate_every"] = 2

    done = metanlp_("check", recipe_with(home, tmp_path / "wrong.yaml", change))
    assert done.code == 2
    assert says in done.err
    assert "validate_every" in done.err


def test_check_knows_the_metrics(metanlp_: Metanlp, home: Path) -> None:
    done = metanlp_("check", home / "ciphers.yaml", "evaluation.metrics=[chrF, bleu]")
    assert done.code == 2
    assert "bleu" in done.err
    assert "BLEU" in done.err


def test_check_says_what_to_run_where_data_is_missing(metanlp_: Metanlp, tmp_path: Path) -> None:
    done = metanlp_("check", "demo/numbers", f"task.collection={tmp_path / 'none'}")
    assert done.code == 2
    assert "make it with `python data_scripts/numbers.py --out data/numbers`" in done.err


def test_train_says_what_comes_next(
    metanlp_: Metanlp, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    mine = recipe_with(home, tmp_path / "mine.yaml", lambda raw: raw["stages"]["meta"]["train"].update(steps=1))
    done = metanlp_("train", mine.name)
    assert done.code == 0
    assert done.out.splitlines()[0] == "trained runs/mine"
    assert "metanlp evaluate runs/mine" in done.out
    other = metanlp_("train", mine.name, "stages.meta.train.steps=2")
    assert other.code == 2
    assert "stages.meta.train.steps" in other.err
    assert "--out" in other.err


def test_adapt_prints_its_choice_and_what_it_left_out(metanlp_: Metanlp, home: Path, tmp_path: Path) -> None:
    file = tmp_path / "new.tsv"
    rows = [*pairs(home, "test", "c9")[:12], "no tab here", "", "abc\t", "abc\tdef"]
    file.write_text("source\ttarget\n" + "\n".join(rows) + "\n")
    done = metanlp_("adapt", home / "runs" / "one", file, "--name", "nine")
    assert done.code == 0
    assert "adapted nine from 13 examples in " in done.out
    assert "steps: chrF on 3 held-out examples was " in done.out
    assert f"metanlp translate {home / 'runs' / 'one'} --adaptation nine" in done.out
    left = [line for line in done.err.splitlines() if line.startswith("left out ")]
    assert left[:2] == [f"left out {file}:14: missing column: no tab here", f"left out {file}:15: empty line: "]
    assert left[2].startswith(f"left out {file}:16: empty side: abc")
    assert len(left) == 3
    assert (home / "runs" / "one" / "meta" / "adaptations" / "nine" / "manifest.json").is_file()


def test_adapt_measures_on_queries_and_does_not_learn_from_them(metanlp_: Metanlp, home: Path, tmp_path: Path) -> None:
    file = tmp_path / "marked.tsv"
    rows = [f"{row}\t{'query' if index % 2 else 'support'}" for index, row in enumerate(pairs(home, "test", "c9")[:10])]
    file.write_text("source\ttarget\tpool\n" + "\n".join(rows) + "\n")
    done = metanlp_("adapt", home / "runs" / "one", file, "--name", "half")
    assert "from 5 examples" in done.out
    assert "on 5 examples marked query, which it did not learn from: chrF " in done.out
    facts = json.loads((home / "runs" / "one" / "meta" / "adaptations" / "half" / "adaptation.json").read_text())
    assert facts["scores"]["chrF"]["examples"] == 5


def test_push_to_a_folder_and_to_a_hub_that_is_not_there(metanlp_: Metanlp, home: Path, tmp_path: Path) -> None:
    run, file, folder = home / "runs" / "one", tmp_path / "new.tsv", tmp_path / "mine"
    file.write_text("source\ttarget\n" + "\n".join(pairs(home, "test", "c9")[:4]) + "\n")
    assert metanlp_("adapt", run, file, "--name", "pushed").code == 0
    done = metanlp_("push", run, "--adaptation", "pushed", "--to", folder)
    assert done.code == 0
    assert done.out.startswith(f"wrote {folder}\n")
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


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere.tsv", "--name", "x"], "nowhere.tsv"),
        (["empty.tsv", "--name", "x"], "no examples"),
        (["one.tsv", "--name", "../x"], "cannot name an adaptation"),
        (["one.tsv"], "--name"),
        (["one.tsv", "--name", "x", "--info", "zul"], "--info takes KEY=VALUE"),
    ],
)
def test_adapt_refuses(metanlp_: Metanlp, home: Path, tmp_path: Path, arguments: list[str], says: str) -> None:
    (tmp_path / "one.tsv").write_text("source\ttarget\nabc\tdef\n")
    (tmp_path / "empty.tsv").write_text("source\ttarget\n")
    done = metanlp_("adapt", home / "runs" / "one", tmp_path / arguments[0], *arguments[1:])
    assert done.code == 2
    assert says in done.err


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


def test_evaluate_prints_tables_and_names_its_files(metanlp_: Metanlp, home: Path) -> None:
    one, two = home / "runs" / "one", home / "runs" / "two"
    done = metanlp_("evaluate", two, "--workers", "1", "--against", one, "--shots", "0,2", "--set", "queries=2")
    assert done.code == 0
    assert "chrF, mean over 2 test tasks of ciphers" in done.out
    assert "exact_match, mean over 2 test tasks" in done.out
    assert f"report:  {two / 'report' / 'report.html'}" in done.out
    rows = json.loads((two / "report" / "results.json").read_text())
    assert {(row["stage"], row["shots"]) for row in rows} == {(s, n) for s in ("meta", "one/meta") for n in (0, 2)}
    compared = json.loads((two / "report" / "comparisons.json").read_text())["comparisons"]
    assert {(each["stage"], each["baseline"]) for each in compared} == {("meta", "one/meta")}


def test_evaluating_one_stage_leaves_the_runs_report_alone(metanlp_: Metanlp, home: Path) -> None:
    two = home / "runs" / "two"
    options = ["--workers", "1", "--shots", "0", "--set", "queries=2", "--split", "valid"]
    done = metanlp_("evaluate", two / "start", *options)
    assert done.code == 0
    rows = json.loads((two / "start" / "report-valid" / "results.json").read_text())
    assert {row["stage"] for row in rows} == {"start"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere"], "is not a run"),
        (["one", "--split", "tset"], "did you mean 'test'"),
        (["one", "--shots", "four"], "four"),
        (["one", "--set", "metrics=[bleu]"], "bleu"),
        (["one", "--set", "query=3"], "did you mean 'queries'"),
    ],
)
def test_evaluate_refuses(metanlp_: Metanlp, home: Path, arguments: list[str], says: str) -> None:
    done = metanlp_("evaluate", home / "runs" / arguments[0], "--workers", "1", *arguments[1:])
    assert done.code == 2
    assert says in done.err


def test_runs_lists_stages_adaptations_and_results(metanlp_: Metanlp, home: Path) -> None:
    done = metanlp_("runs", home / "runs")
    assert done.code == 0
    assert f"{home / 'runs' / 'one'}\n  meta         fomaml     4 of 4 steps, 96 passes" in done.out
    assert "  start        joint      3 of 3 steps" in done.out


def test_runs_passes_over_what_it_cannot_read(metanlp_: Metanlp, home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "recipe.yaml").write_text("seed: [1\n")
    (folder / "b").symlink_to(home / "runs" / "one")
    done = metanlp_("runs", folder)
    assert done.code == 0
    assert "4 of 4 steps" in done.out
    assert "not valid YAML" in done.out


def test_runs_where_there_are_none(metanlp_: Metanlp, tmp_path: Path) -> None:
    assert "there are no runs" in metanlp_("runs", tmp_path).out
    missing = metanlp_("runs", tmp_path / "none")
    assert missing.code == 2
    assert "there is no folder" in missing.err


def test_doctor_names_versions_device_and_speed(metanlp_: Metanlp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metanlp.doctor.SECONDS", 0.01)
    monkeypatch.setitem(__import__("metanlp.doctor").doctor.EXTRAS, "no_such_package", ("testing", "some"))
    done = metanlp_("doctor")
    assert done.code == 0
    assert "  torch 2." in done.out
    assert "GPU" in done.out
    assert "GFLOP/s" in done.out
    assert re.search(r"missing extras \(pip install 'metanlp\[(\w+,)*some\]'\)", done.out)
    assert "no_such_package: testing (extra some)" in done.out


def test_check_measures_with_as_many_shots_as_training_does() -> None:
    from metanlp.checking import VALIDATION
    from metanlp.training import VALIDATION_SHOTS

    assert VALIDATION == VALIDATION_SHOTS


def test_workers_are_the_cores_it_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    from metanlp.doctor import cores

    assert cores() == len(os.sched_getaffinity(0))
    monkeypatch.delattr(os, "sched_getaffinity")
    assert cores() == os.cpu_count()
