"""Names in a recipe -> classes. Adding one is adding a file: `metanlp/<package>/<name>.py` registers `<name>`."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any, TypeVar

from metanlp.errors import UserError, did_you_mean

C = TypeVar("C", bound=type)


class Registry:
    """The classes of one kind ("algorithm"), found by name in the files of one package, imported when asked for."""

    def __init__(self, kind: str, package: str) -> None:
        self.kind, self.package = kind, package
        self._classes: dict[str, type] = {}

    def register(self, name: str) -> Callable[[C], C]:
        def keep(cls: C) -> C:
            cls.kind = name  # type: ignore[attr-defined]
            self._classes[name] = cls
            return cls

        return keep

    def names(self) -> list[str]:
        """Every name that can be asked for: the package's files, and what a user's code registered itself."""
        path = importlib.import_module(self.package).__path__
        files = {module.name for module in pkgutil.iter_modules(path) if not module.name.startswith("_")}
        return sorted(files | set(self._classes))

    def get(self, name: str) -> Any:
        """The class of that name; UserError with the nearest name where there is none."""
        known = self.names()
        if name not in known:
            raise UserError(f"no {self.kind} {name!r}{did_you_mean(name, known)}; there are {', '.join(known)}")
        if name not in self._classes:
            importlib.import_module(f"{self.package}.{name}")
        return self._classes[name]


ALGORITHMS = Registry("algorithm", "metanlp.algorithms")
BACKBONES = Registry("backbone", "metanlp.backbones")
FAST_WEIGHTS = Registry("kind of fast weights", "metanlp.fast_weights")
TASKS = Registry("task family", "metanlp.tasks")
