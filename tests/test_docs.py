"""The docs are true: the generated page is fresh, links lead somewhere, the worked example works."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic.fields import FieldInfo

from metanlp.config.options import Options
from metanlp.config.reference import COMMAND, FIXED, REGISTRIES

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "data_scripts").glob("*.md")])


def page(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def anchors(text: str) -> set[str]:
    """Of a page's headings, as GitHub makes them."""
    found = set()
    for heading in re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.S | re.M), re.M):
        plain = re.sub(r"[^\w\- ]", "", heading.lower())
        found.add(plain.replace(" ", "-"))
    return found


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page(path), flags=re.S | re.M)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http://", "https://")):
            continue
        file, _, anchor = target.partition("#")
        there = (path.parent / file).resolve() if file else path
        assert there.exists(), f"{path.name} links to {target}"
        if anchor:
            assert anchor in anchors(page(there)), f"{path.name} links to {target}"


def options_of_all_kinds() -> list[type[Options]]:
    return [*FIXED.values(), *(each.get(name) for each in REGISTRIES.values() for name in each.names())]


@pytest.mark.parametrize("cls", options_of_all_kinds(), ids=lambda cls: cls.__name__)
def test_every_field_has_one_line_of_help(cls: type[Options]) -> None:
    assert cls.__doc__
    for name, field in cls.model_fields.items():
        assert isinstance(field, FieldInfo)
        assert field.description, f"{cls.__name__}.{name} has no help"
        assert "\n" not in field.description


def test_the_page_of_fields_is_fresh() -> None:
    """Made anew in a process of its own, where nothing but the package has registered anything."""
    code = (
        "import sys\nfrom metanlp.config.reference import fields_page\nsys.stdout.buffer.write(fields_page().encode())"
    )
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout.decode()
    assert page(ROOT / "docs" / "recipe-fields.md") == made, f"docs/recipe-fields.md is stale; run: {COMMAND}"
    for cls in options_of_all_kinds():
        if cls.__module__.startswith("metanlp."):
            for name, field in cls.model_fields.items():
                assert f"| `{name}` | " in made
                assert (field.description or "").replace("|", "\\|") in made


def test_the_command_that_makes_the_page_is_there() -> None:
    assert (ROOT / COMMAND.removeprefix("python ")).is_file()


def test_types_read_as_words() -> None:
    text = page(ROOT / "docs" / "recipe-fields.md")
    assert not re.search(r"Literal|Optional|NoneType|typing|<class|list\[|dict\[|\bAny\b", text)
    assert "| `tasks_per_stack` | whole number at least 1 or empty | empty |" in text
    assert "| `decay` | `none`, `linear` or `cosine` | `cosine` |" in text


def test_the_walk_names_files_that_exist() -> None:
    text = page(ROOT / "docs" / "walk.md")
    table = text[text.index("| layer |") : text.index("Outside the package")]
    rows = [row.split("|")[2] for row in table.splitlines()[2:] if row.startswith("|")]
    named = re.findall(r"`([a-z_]+/?)`", " ".join(rows))
    assert len(named) == len(set(named))
    for name in named:
        home = ROOT / "metanlp"
        assert (home / name).is_dir() if name.endswith("/") else (home / f"{name}.py").is_file(), name
    there = {f"{path.name}/" for path in (ROOT / "metanlp").iterdir() if path.is_dir() and path.name[0] not in "_."}
    there |= {path.stem for path in (ROOT / "metanlp").glob("*.py")}
    assert there == set(named), "the layer table of docs/walk.md has every file and folder of the package"
    for name in re.findall(r"`((?:\w+/)+\w+)`", text):
        assert (ROOT / "metanlp" / f"{name}.py").exists() or (ROOT / name).exists() or name.startswith("demo/"), name


def test_the_page_of_algorithms_names_all_and_its_stages_are_a_recipes() -> None:
    from metanlp.config.load import load_recipe
    from metanlp.registry import ALGORITHMS

    text = page(ROOT / "docs" / "algorithms.md")
    ours = {name for name in ALGORITHMS.names() if ALGORITHMS.get(name).__module__.startswith("metanlp.")}
    assert {*re.findall(r"^## (\w+)$", text, re.M)} == ours
    [block] = re.findall(r"^```yaml\n(.*?)^```", text, re.S | re.M)
    recipe = load_recipe("debug/numbers", f"stages={json.dumps(yaml.safe_load(block)['stages'])}")
    assert [stage.algorithm.kind for stage in recipe.stages.values()] == ["joint", "learned_rates", "joint"]


def test_the_page_of_pipelines_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """Every block of it, with small runs for RUN; not what asks pip or the Hub."""
    from makers import cipher, plain_recipe, write_collection
    from talker import invent, make_talker

    from metanlp.__main__ import main
    from metanlp.config.load import build_recipe
    from metanlp.training import meta_train

    monkeypatch.chdir(tmp_path)
    raw = plain_recipe(write_collection(tmp_path / "ciphers")) | {"fast_weights": "lora"}
    (tmp_path / "RUN").symlink_to(meta_train(build_recipe(raw), tmp_path / "run"))
    pairs = [(word, cipher(3, word)) for word in ("abc", "hag", "bad", "cab", "egg", "face", "dead", "gab", "beef")]
    Path("examples.tsv").write_text("source\ttarget\n" + "".join(f"{a}\t{b}\n" for a, b in pairs))
    Path("words.tsv").write_text("id\tenglish\n1\tabc\n2\thag\n")
    entries = "".join(f'msgid "{a}"\nmsgstr "{b}"\n\n' for a, b in [*pairs, ("bag", "")])
    Path("messages.po").write_text(f'msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8\\n"\n\n{entries}')

    def metanlp(*words: str) -> None:
        monkeypatch.setattr(sys, "argv", ["metanlp", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code, words

    for name in ("frisian", "quy", "zu"):
        metanlp("adapt", "RUN", "examples.tsv", "--name", name)
    invent(make_talker(tmp_path / "TALK"), "anna", "ben")
    text, ran = page(ROOT / "docs" / "pipelines.md"), 0
    for language, block in re.findall(r"^```(\w+)\n(.*?)^```", text, re.S | re.M):
        if language == "python":
            lora = block.replace(
                'model="RUN/meta/model"', 'model="RUN/meta/model", tokenizer="RUN/backbone", max_new_tokens=4'
            )
            short = lora.replace('"RUN", ', '"RUN", max_new_tokens=4, ')
            code = block.replace('"RUN"', '"TALK"') if '"dialogue"' in block else short
            exec(compile(code, "a block", "exec"), {})
            ran += 1
        for line in block.splitlines() if language == "bash" else ():
            if line.startswith("metanlp ") and "anna/" not in line:
                metanlp(*shlex.split(line)[1:])
                ran += 1
    assert ran == 8
    assert Path("words.new.tsv").read_text().splitlines()[0] == "id\tenglish\tfrisian"
    assert "fuzzy" in Path("messages.new.po").read_text()
    assert Path("quechua/README.md").is_file()
    assert capsys.readouterr().out.count("translation_text") == 1 + 3 + 3 + 2


def test_hooks_run_what_make_runs() -> None:
    hooks = yaml.safe_load(page(ROOT / ".pre-commit-config.yaml"))["repos"][0]["hooks"]
    assert {hook["language"] for hook in hooks} == {"system"}
    assert any(COMMAND.removeprefix("python ") in hook["entry"] for hook in hooks)
    for hook in hooks:
        assert hook["entry"].startswith(".venv/bin/")


def test_the_worked_example_of_contributing_works(tmp_path: Path) -> None:
    """Its two files in a copy of the package, where the contract finds the algorithm by its being there."""
    files = {}
    text = page(ROOT / "CONTRIBUTING.md")
    for name, code in re.findall(r"`((?:metanlp|tests)/algorithms/\w+\.py)`:\n\n```python\n(.*?)```", text, re.S):
        files[name] = code
    assert sorted(files) == ["metanlp/algorithms/hfmaml.py", "tests/algorithms/test_hfmaml.py"]
    for folder in ("metanlp", "tests/algorithms"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("tests/conftest.py", "tests/makers.py", "tests/test_layers.py", "pyproject.toml"):
        shutil.copy(ROOT / file, tmp_path / file)
    for name, code in files.items():
        assert not (tmp_path / name).exists(), f"{name} is an example; it is not part of the project"
        (tmp_path / name).write_text(code, encoding="utf-8")
    chosen = ["tests/algorithms", "tests/test_layers.py", "-k", "hfmaml or through_the_inner_steps"]
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *chosen]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) >= 14, done.stdout
