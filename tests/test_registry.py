"""Names of files become names in recipes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from metanlp.config.options import Options
from metanlp.errors import UserError
from metanlp.registry import ALGORITHMS, BACKBONES, FAST_WEIGHTS, TASKS, Registry


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    package = tmp_path / "animals_of_a_test"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "_shared.py").write_text("raise RuntimeError('not to be imported')\n")
    (package / "broken.py").write_text("raise RuntimeError('imported')\n")
    (package / "ordinary.py").write_text(
        "from animals_of_a_test import REGISTRY\n@REGISTRY.register('ordinary')\nclass Cat: pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    made = Registry("animal", "animals_of_a_test")
    import animals_of_a_test

    animals_of_a_test.REGISTRY = made
    yield made
    for name in [name for name in sys.modules if name.startswith("animals_of_a_test")]:
        del sys.modules[name]


def test_names_are_the_files(registry: Registry) -> None:
    assert registry.names() == ["broken", "ordinary"]


def test_a_class_is_imported_when_it_is_asked_for(registry: Registry) -> None:
    assert "animals_of_a_test.ordinary" not in sys.modules
    cls = registry.get("ordinary")
    assert cls.__name__ == "Cat"
    assert cls.kind == "ordinary"
    assert registry.get("ordinary") is cls
    with pytest.raises(RuntimeError, match="imported"):
        registry.get("broken")


def test_an_unknown_name_names_the_nearest(registry: Registry) -> None:
    with pytest.raises(
        UserError, match=r"no animal 'ordinry' \(did you mean 'ordinary'\?\); there are broken, ordinary"
    ):
        registry.get("ordinry")
    with pytest.raises(UserError, match="no animal '_shared'"):
        registry.get("_shared")
    with pytest.raises(UserError, match=r"no animal '\.\./x'"):
        registry.get("../x")


def test_ones_own_class_needs_no_file(registry: Registry) -> None:
    @registry.register("mine")
    class Mine(Options):
        pass

    assert registry.get("mine") is Mine
    assert registry.names() == ["broken", "mine", "ordinary"]
    assert Mine().dump() == {"kind": "mine"}


@pytest.mark.parametrize("registry", [ALGORITHMS, BACKBONES, FAST_WEIGHTS, TASKS], ids=lambda registry: registry.kind)
def test_every_file_registers_its_own_name_with_help(registry: Registry) -> None:
    assert registry.names()
    for name in registry.names():
        cls = registry.get(name)
        assert issubclass(cls, Options)
        assert cls.kind == name
        assert (cls.__doc__ or "").strip()
        assert cls.__doc__ != Options.__doc__
        for field, info in cls.model_fields.items():
            assert info.description, f"{registry.kind} {name}: {field} has no help"


@pytest.mark.parametrize("name", TASKS.names())
def test_a_family_says_how_its_adaptations_are_used(name: str) -> None:
    family = TASKS.get(name)
    assert "RUN" in family.usage
    compile(family.usage, name, "exec")
    assert family.next_step.format(run="runs/mine", name="zu") != family.next_step
    assert family.intended.endswith(".")
