"""Imports go down the design's table and never back; danger and ranks live in one file each."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "metanlp"
# From the first layer to the last. A file imports from earlier lines, and from its own package (a folder).
LAYERS = [
    ["errors", "progress", "logbook", "environment", "allocator"],
    ["registry"],
    ["config"],
    ["data"],
    ["diversity"],
    ["metrics", "coverage"],
    ["batch", "weights"],
    ["tasks", "backbones", "fast_weights"],
    ["encoding", "pass_parts", "products"],
    ["learner"],
    ["algorithms"],
    ["checkpoint", "results", "shaping"],
    ["run"],
    ["saving", "outer", "card", "stacks", "writing", "tokens", "masks", "others", "tuned"],
    ["likelihood", "prompting", "consistency"],
    ["step_choice", "measuring"],
    ["jobs"],
    ["adaptation"],
    ["sharing"],
    ["training", "evaluation", "report", "checking", "listing", "doctor"],
    ["tuning"],
    ["pipelines"],
    ["chat"],
    ["cli"],
    ["__init__", "__main__"],
]
HEAVY = {"torch", "transformers", "datasets", "accelerate", "peft"}


def modules() -> list[Path]:
    return sorted(ROOT.rglob("*.py"))


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def part_of(module: str) -> str:
    return module.split(".")[0]


def layer_of(module: str) -> int:
    found = [index for index, parts in enumerate(LAYERS) if part_of(module) in parts]
    assert found, f"metanlp/{module} has no place in LAYERS; put it where the design wants it"
    return found[0]


def imports(path: Path, when: str = "any") -> Iterator[tuple[str, int]]:
    """Imported modules and lines; not those for type checking alone. `when` "loading": only what runs on import."""

    def walk(node: ast.AST) -> Iterator[ast.AST]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
            if when == "loading" and isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                continue
            yield child
            yield from walk(child)

    for node in walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: say it in full, without leading dots"
            yield node.module or "", node.lineno
            yield from (
                (f"{node.module}.{alias.name}", node.lineno) for alias in node.names if node.module == "metanlp"
            )


def own_imports(path: Path, when: str = "any") -> Iterator[tuple[str, int]]:
    known = {name_of(each) for each in modules()}
    for module, line in imports(path, when):
        inner = module.removeprefix("metanlp.")
        if module.startswith("metanlp.") and (inner in known or f"{inner}.__init__" in known):
            yield inner, line


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_imports_go_down_the_table(path: Path) -> None:
    module = name_of(path)
    for imported, line in own_imports(path):
        if part_of(imported) == part_of(module):
            continue
        assert layer_of(imported) < layer_of(module), f"{path}:{line} imports {imported}"


def test_no_two_files_import_each_other() -> None:
    graph = {name_of(path): {imported for imported, _ in own_imports(path, "loading")} for path in modules()}
    done: set[str] = set()

    def visit(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, f"a circle: {' -> '.join((*way, module))}"
        if module in done:
            return
        for imported in graph.get(module, graph.get(f"{module}.__init__", set())):
            visit(imported, (*way, module))
        done.add(module)

    for module in graph:
        visit(module, ())
    assert len(done) == len(graph) + len({m for each in graph.values() for m in each} - graph.keys())


def imported_packages(path: Path, when: str = "any") -> set[str]:
    return {module.split(".")[0] for module, _ in imports(path, when)}


@pytest.mark.parametrize("path", [*(ROOT / "data").rglob("*.py"), ROOT / "metrics.py"], ids=name_of)
def test_data_is_text_and_numbers(path: Path) -> None:
    assert not imported_packages(path) & {"torch", "transformers", "accelerate", "peft"}


def test_only_training_knows_accelerate() -> None:
    assert [name_of(path) for path in modules() if "accelerate" in imported_packages(path)] == ["training"]


@pytest.mark.parametrize("path", [path for path in modules() if part_of(name_of(path)) == "algorithms"], ids=name_of)
def test_algorithms_know_only_what_they_share(path: Path) -> None:
    for imported, line in own_imports(path):
        alone = part_of(imported) != "algorithms" or imported.split(".")[-1].startswith("_")
        assert alone, f"{path}:{line}: an algorithm imports another"


def danger(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Swapping weights, asking for gradients, opening autocast. A layer with a backward pass of its own does none of that."""
    layers = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr == "Function"}
    words = {"autograd", "autocast", "backward", "functional_call", "enable_grad"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            if node.attr in words and id(node) not in layers:
                yield node.attr, node.lineno
        elif (
            isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in {"put", "restore"}
        ):
            yield f"{node.func.attr}()", node.lineno
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("torch"):
            wrong = {alias.name for alias in node.names} & {"autograd", "autocast", "enable_grad"}
            if wrong or "autograd" in (node.module or "") or ".amp" in (node.module or ""):
                yield str(sorted(wrong)), node.lineno


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_danger_lives_in_one_room(path: Path) -> None:
    found = [f"{path}:{line}: {what}" for what, line in danger(ast.parse(path.read_text(encoding="utf-8")))]
    assert bool(found) == (name_of(path) == "learner"), found


def light_files() -> list[Path]:
    """What `metanlp show` reads: words, and every class that a recipe can name."""
    folders = [ROOT / part for part in ("config", "tasks", "backbones", "fast_weights", "algorithms")]
    named = [path for folder in folders for path in folder.glob("*.py") if not path.name.startswith("_")]
    return sorted(
        {*named, *(ROOT / "config").glob("*.py"), ROOT / "errors.py", ROOT / "registry.py", ROOT / "__init__.py"}
    )


@pytest.mark.parametrize("path", light_files(), ids=name_of)
def test_what_show_reads_imports_nothing_heavy(path: Path) -> None:
    assert not imported_packages(path, "loading") & HEAVY


def test_loading_every_recipe_and_class_imports_nothing_heavy() -> None:
    code = """
import sys
import metanlp
from metanlp import load_recipe
from metanlp.config import recipe_names
from metanlp.registry import ALGORITHMS, BACKBONES, FAST_WEIGHTS, TASKS
for name in recipe_names():
    load_recipe(name).dump()
for registry in (ALGORITHMS, BACKBONES, FAST_WEIGHTS, TASKS):
    for name in registry.names():
        registry.get(name)
print(*sorted(set(sys.argv[1:]) & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code, *HEAVY], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == ""


def test_nothing_happens_on_import() -> None:
    """No file calls a function of its own when it is imported, but to register or to make a constant."""
    for path in modules():
        if path.name == "__main__.py":
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
                called = ast.unparse(node.value.func)
                assert called.endswith(".add_implicit_resolver"), f"{path}:{node.lineno}: {called}"
