"""Options: typed fields with defaults and one line of help each, and errors that name the way out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from metanlp.errors import did_you_mean


class Options(BaseModel):
    """The base of whatever a recipe can configure. Fields are the interface: name, type, default, help."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, protected_namespaces=())

    kind: ClassVar[str] = ""  # the name it was registered under; "" for the fixed parts of a recipe

    def dump(self) -> dict[str, Any]:
        """Plain data that loads back to equal options."""
        fields = {name: _plain(getattr(self, name)) for name in type(self).model_fields}
        return {"kind": self.kind, **fields} if self.kind else fields


def _plain(value: Any) -> Any:
    if isinstance(value, Options):
        return value.dump()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def problems_of(error: ValidationError, cls: type[Options], prefix: str, owner: str) -> Iterator[str]:
    """One sentence a mistake. `prefix` is the place in the recipe ("stages.meta"), `owner` whose options they are."""
    for detail in error.errors():
        yield _sentence(detail, cls, prefix, owner)


def _nested(cls: type[Options], path: tuple[int | str, ...]) -> type[Options]:
    """The options that a path of field names and mapping keys leads to."""
    for name in path:
        field = cls.model_fields.get(str(name))
        if field is None:  # a key of a mapping, whose values were looked up with its field
            continue
        kinds = [field.annotation, *get_args(field.annotation)]
        cls = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Options)), cls)
    return cls


def _sentence(detail: ErrorDetails, cls: type[Options], prefix: str, owner: str) -> str:
    place = ".".join([*([prefix] if prefix else []), *(str(part) for part in detail["loc"])])
    kind, given = detail["type"], detail["input"]
    if kind == "extra_forbidden":
        asked = str(detail["loc"][-1])
        part = _nested(cls, detail["loc"][:-1])
        owner = owner if part is cls else place.rpartition(".")[0]
        known = sorted(part.model_fields)
        takes = ", ".join(known) if known else "none"
        return f"{owner} has no option {asked!r}; it takes {takes}{did_you_mean(asked, known)}"
    if kind == "missing":
        return f"{place} is missing"
    message = detail["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    return f"{place} is {given!r}; it should be {message}" if kind != "value_error" else f"{place}: {message}"
