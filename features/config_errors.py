"""What is wrong in callsheet.yaml, said so that a person can put it right: the key's path and what is allowed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from rapidfuzz import process

from features.errors import ConfigError


def explained(error: ValidationError, root: type[BaseModel]) -> ConfigError:
    """A validation error as one ConfigError; `field` is the path of the first wrong key."""
    lines = [(_path(found["loc"]), _say(found, root)) for found in error.errors()]
    return ConfigError("\n".join(f"{path}: {text}" for path, text in lines), field=lines[0][0])


def _path(loc: Sequence[int | str]) -> str:
    path = ""
    for step in loc:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else str(step)
    return path.removesuffix(".[key]")


def _say(found: Any, root: type[BaseModel]) -> str:
    kind, loc, value = found["type"], found["loc"], found["input"]
    if kind == "extra_forbidden":
        return _unknown_key(str(loc[-1]), _keys(root, loc[:-1]))
    if kind == "value_error":
        return str(found["ctx"]["error"])
    if kind == "bool_type":
        return f"{value!r} is neither true nor false."
    if kind == "string_type":
        return f"{value!r} is not text; put it in quotes."
    if kind in ("tuple_type", "list_type"):
        return f"{value!r} is not a list; write [{value}]."
    if kind in ("dict_type", "model_type", "model_attributes_type"):
        allowed = ", ".join(_keys(root, loc)) or "any name"
        return f"expected keys and values here, found {value!r}. Allowed keys: {allowed}."
    if kind == "string_pattern_mismatch":
        return f"{value!r} is not an industry code or a prefix of one: 1 to 6 digits, in quotes."
    return f"{found['msg']}, found {value!r}."


def _unknown_key(key: str, allowed: Sequence[str]) -> str:
    near = process.extractOne(key.casefold(), allowed, score_cutoff=60)
    hint = f" Did you mean {near[0]}?" if near else ""
    return f"there is no key {key!r} here.{hint} Allowed: {', '.join(allowed)}."


def _keys(root: type[BaseModel], loc: Sequence[int | str]) -> list[str]:
    """The keys of the section at a path; none where the section takes any name."""
    here: Any = root
    for step in loc:
        fields = _fields(here)
        here = next((f.annotation for n, f in fields.items() if step in (n, f.alias)), None) if fields else _item(here)
    return [field.alias or name for name, field in _fields(here).items()]


def _fields(kind: Any) -> dict[str, Any]:
    """Fields of the model that a type is, or may be (`Model | None`)."""
    for choice in (
        kind,
        *(get_args(kind) if type(kind).__name__ in ("UnionType", "_UnionGenericAlias", "Union") else ()),
    ):
        if isinstance(choice, type) and issubclass(choice, BaseModel):
            return dict(choice.model_fields)
    return {}


def _item(kind: Any) -> Any:
    """What a list or a mapping of this type holds: the first type in it that is a section, or holds one."""
    for choice in get_args(kind):
        if _fields(choice):
            return choice
        deeper = _item(choice)
        if deeper is not None:
            return deeper
    return None
