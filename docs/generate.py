"""Writes the reference pages from the code, so that they cannot say otherwise: python docs/generate.py [--check]."""

from __future__ import annotations

import inspect
import os
import sys
import types
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS.parent))

NOTE = "<!-- Made from the code by docs/generate.py; `make format` writes it again. -->\n\n"


def main(check: bool) -> int:
    """Write the pages; or, to check, only name those that are stale and answer 1 when there are any."""
    stale = []
    for name, make in {"features.md": features, "configuration.md": configuration, "commands.md": commands}.items():
        page, path = NOTE + make(), DOCS / name
        if not path.exists() or path.read_text(encoding="utf-8") != page:
            stale.append(f"docs/{name}")
            if not check:
                path.write_text(page, encoding="utf-8")
    if stale:
        print("stale, run `make format`:" if check else "written:", ", ".join(stale))
    return int(check and bool(stale))


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A Markdown table; a pipe inside a cell is escaped."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines) + "\n"


# -- Features -------------------------------------------------------------------------------------------------------


def features() -> str:
    """The catalogue: every feature by family, as it is declared."""
    from features.catalogue import FAMILIES, FEATURE_VERSION, FEATURES

    page = "# Features\n\n"
    page += f"{len(FEATURES)} features of a (lead, rep, as-of) triple, in {len(FAMILIES)} families; version "
    page += (
        f"`{FEATURE_VERSION}`. A feature uses only facts known at the instant asked. A table that is missing leaves "
    )
    page += "its features missing, never zero.\n\n"
    for family in FAMILIES:
        page += f"## {getattr(family, 'name', family)}\n\n"
        rows = [
            (
                f"`{f.name}`",
                f.means,
                f.unit if f.kind == "number" else f.kind,
                f.level,
                ", ".join(f.tables) or "the required ones",
                " / ".join(s for s in (f.helps, f.hurts) if s) or "never a reason",
            )
            for f in FEATURES
            if f.family == getattr(family, "name", family)
        ]
        page += _table(("feature", "tells", "unit", "of the", "needs", "as a reason"), rows)
    return page.rstrip("\n") + "\n"


#: What each key says, by the section that holds it. A key without its words here stops the generator.
SAYS: dict[str, dict[str, str]] = {
    "Config": {
        "markets": "The served markets, by name; the first that matches a lead counts.",
        "reps": "Which hard filters hold for reps.",
        "unknown": "What a level that can't be read, or a revenue that is missing, means.",
        "timezone": "Of timestamps that carry none; without this key they are refused.",
        "hours": "The working day, for durations in working hours.",
        "sla": "How long a rep has to answer an offer.",
        "reoffers": "How often a lead goes on to the next rep.",
        "labels": "What counts as success, and how long to wait for it.",
        "blocks": "Lengths of the newest block to learn from, and of those a model is tested on.",
        "value": "What a lead is worth; lists are sorted by it.",
        "policy": "What is left to the rules and to chance.",
        "behaviour_share": "Most that behaviour may move a score, as a share of what fit moves it.",
        "history": "Columns that have no history in the data, declared as not having changed.",
        "retention": "How long the record is kept.",
        "oidc": "An issuer of OpenID Connect tokens that may vouch for the service's callers, beside API keys.",
    },
    "Market": {
        "revenue": "Annual revenue in USD.",
        "employees": "Headcount.",
        "naics": "Industries, by the beginning of the code.",
        "sic": "Industries, by the beginning of the code.",
        "countries": "Countries of accounts.",
        "regions": "Regions of accounts, as the data names them.",
        "statuses": "Account statuses that are served.",
        "accounts": "Accounts by name, in or out.",
        "solutions": "Solutions that are sold in this market.",
        "buyers": "Who is involved in the purchase; any one that fits.",
    },
    "Accounts": {
        "include": "Lets these in as an industry code would. A file of ids may stand here instead.",
        "exclude": "Keeps these out, whatever else holds. A file of ids may stand here instead.",
    },
    "Buyer": {
        "functions": "Buying functions, read from the title or the CRM's own column.",
        "levels": "Levels, read likewise.",
        "keywords": "Words in the title that stand in for a level.",
        "solutions": "Only for these solutions.",
    },
    "Reps": {
        "territory": "A rep's regions limit the accounts.",
        "product_line": "A rep's product lines limit the solutions.",
        "roles": "What a role may take besides.",
    },
    "RoleRule": {"statuses": "Accounts of these statuses only.", "segments": "Accounts of these segments only."},
    "Hours": {
        "days": "Working days.",
        "from_": "When the day begins.",
        "to": "When it ends.",
        "holidays": "By region of a rep, whose public holidays he keeps: a country or a part of it (ISO 3166-2: "
        "`US-NY`). Of his regions the first that is named here and lies in his country counts; else his country's.",
    },
    "Sla": {
        "accept": "For every rep.",
        "by_role": "For reps of a role, instead.",
        "by_grade": "For leads of a grade, besides: whichever ends first.",
    },
    "Policy": {
        "holdout": "Share of the accounts whose leads stay on the rules, so that lift can be measured.",
        "salt": "Another salt, another draw of those accounts.",
        "explore": "How many leads go to a drawn rep instead of the best.",
        "shadow": "In all committed decisions on a lead (true), or a share of them, the challenger looks on.",
        "pilot": "The challenger decides for pilot reps: their call sheets, and leads of accounts that they own.",
        "guard": "A new model whose first offers are surely accepted less than others is rolled back by itself.",
    },
    "Explore": {
        "share": "Of the committed decisions, how many are drawn.",
        "how": "softmax: better reps are drawn more often; epsilon: all alike.",
        "loss": "Most that a drawn rep may be worth less, as a share of what the best is worth.",
        "temperature": "Of softmax, as a share of what the best is worth.",
    },
    "Retention": {
        "decisions": "What explains a decision, since it was made; then `/explain` has its offers and events alone, "
        "and a decision without an offer goes.",
    },
    "Reoffers": {"attempts": "How often a lead is offered again; after that it is unplaced, and says so."},
    "Labels": {"converted": "When an offer has converted.", "won": "When it is won."},
    "Converted": {
        "within": "A new opportunity this soon after the offer.",
        "forecast_weight": "The least that sales must forecast it at.",
    },
    "Won": {"within": "A won opportunity this soon after the offer."},
    "Blocks": {
        "calibrate": "The newest block before the test; it teaches, and its later rows judge probabilities.",
        "test": "The last block, for the verdict.",
    },
    "Value": {
        "accept": "Of an accepted lead.",
        "convert": "Of a converted one.",
        "amount": "Of each dollar that a converted one brings on average.",
    },
    "Oidc": {
        "issuer": "The `iss` of its tokens.",
        "audience": "The `aud` that a token must name: this service.",
        "jwks": "Its public keys: a file, or an https address, read aside every five minutes.",
        "scopes_claim": "Which claim holds the scopes: `route`, `record`, `ingest`, `operate`, `read`.",
        "rep_claim": "Which claim holds a rep's id, so that the token records only that rep's offers.",
        "leeway": "How far the issuer's clock may be off, `0s` to `60s`.",
    },
    "History": {"assume_constant": "Such as `accounts.owner_rep_id`: features then take the latest value as constant."},
}


# -- Configuration --------------------------------------------------------------------------------------------------


def configuration() -> str:
    """Every key of callsheet.yaml: its path, what may stand there, its default."""
    from features.config import Config

    page = "# Configuration\n\n"
    page += "`callsheet.yaml`, the agreement with sales. `callsheet init --data DIR` writes a commented one from the "
    page += "values in your data. Every key but `markets` is optional; a key or value that is not listed here is "
    page += "refused with its path and what is allowed.\n\n"
    for path, model in _sections(Config, ""):
        if path:
            page += f"## `{path}`\n\n"
        page += (inspect.getdoc(model) or "").strip() + "\n\n"
        page += _table(("key", "takes", "default", "says"), [_key(model, name) for name in model.model_fields])
    return page.rstrip("\n") + "\n"


def _key(model: type[BaseModel], name: str) -> tuple[str, ...]:
    field = model.model_fields[name]
    takes = _takes(get_type_hints(model, include_extras=True)[name])
    if field.is_required():
        default = "required"
    else:
        value = field.get_default(call_default_factory=True)
        default = "" if isinstance(value, BaseModel) or value in (None, (), {}) else f"`{_value(value)}`"
    return f"`{field.alias or name}`", takes, default, SAYS[model.__name__][name]


def _value(value: object) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _sections(model: type[BaseModel], path: str) -> Iterator[tuple[str, type[BaseModel]]]:
    """The model and every model inside it, depth first, with the path under which it stands."""
    yield path, model
    for name, hint in get_type_hints(model).items():
        field = model.model_fields.get(name)
        for inner, suffix in _models(hint) if field else ():
            key = f"{path}.{field.alias or name}".lstrip(".")  # type: ignore[union-attr]
            yield from _sections(inner, key + suffix)


def _models(hint: Any) -> Iterator[tuple[type[BaseModel], str]]:
    """The models that a type holds, each with what stands for its place: a name of a map, an item of a list."""
    origin, args = get_origin(hint), get_args(hint)
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        yield hint, ""
    elif origin is dict:
        yield from ((model, ".NAME" + suffix) for model, suffix in _models(args[1]))
    elif origin in (tuple, list):
        yield from ((model, "[]" + suffix) for model, suffix in _models(args[0]))
    else:
        for arg in args:
            yield from _models(arg)


def _takes(hint: Any) -> str:
    """What may stand there, in words; an annotated type that the configuration names has its words here."""
    words = _words().get(hint)
    if words:
        return words
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _takes(args[0])
    if origin in (Union, types.UnionType):
        return " or ".join(_takes(a) for a in args if a is not type(None))
    if origin is Literal:
        return ", ".join(f"`{a}`" for a in args)
    if origin in (tuple, list):
        return f"a list: {_takes(args[0])}"
    if origin is dict:
        return f"a map of {_takes(args[0])} to {_takes(args[1])}"
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return "a section, below"
    plain = {str: "text", int: "a number", float: "a number", bool: "`true`, `false`"}
    if hint not in plain:
        raise SystemExit(f"docs/generate.py has no words for the type {hint}")
    return plain[hint]


def _words() -> dict[Any, str]:
    from features import config_policy
    from features import config_values as c
    from features.schema import ROLES, STATUSES
    from features.titles import FUNCTIONS, LEVELS

    def listed(values: Any) -> str:
        return ", ".join(f"`{v}`" for v in values)

    return {
        c.Text: "text",
        c.Code: "a code or the beginning of one, in quotes",
        c.Country: "two-letter ISO code",
        c.Number: "a number",
        c.Share: "0 to 1",
        c.Range: "`[low, high]`, inclusive; either may be null",
        c.Flag: "`true`, `false`",
        c.Role: listed(ROLES),
        c.Status: listed(STATUSES),
        c.Function: listed(FUNCTIONS),
        c.Level: listed(LEVELS),
        c.Zone: "an IANA time zone",
        c.Span: "a duration: `3d`, `36h`, or working hours `16wh`",
        c.Elapsed: "a duration: `90d`, `36h`",
        config_policy.Part: "0 to 1, not 1 itself",
        config_policy.AllOrShare: "`true`, `false` or 0 to 1",
    }


# -- Commands -------------------------------------------------------------------------------------------------------


def commands() -> str:
    """Every command with its help, arguments and options."""
    import typer

    import callsheet

    group: Any = typer.main.get_command(callsheet.app)
    page = f"# Commands\n\n{_help(group)}\n\n"
    page += _options(group)
    for name, command in named(group):
        if command.hidden:
            continue
        usage = " ".join([p.display_name_raw.upper() for p in command.params if p.param_type_name == "argument"])
        page += f"## `callsheet {name}`\n\n`callsheet {name}{' ' + usage if usage else ''} [OPTIONS]`\n\n"
        page += f"{_help(command)}\n\n{_options(command)}"
    return page.rstrip("\n") + "\n"


def named(group: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    """Every command with its whole name, such as `keys create`."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from named(command, f"{before}{name} ")
        else:
            yield f"{before}{name}", command


def _help(command: Any) -> str:
    """The help text; a block that keeps its lines there (examples) becomes code here."""
    page = []
    for part in inspect.cleandoc(command.help or "").split("\n\n"):
        if part.startswith("\b\n"):
            lines = part.split("\n")[1:]
            code = [line.strip() for line in lines if line.startswith(" ")]
            page.append("\n".join(line for line in lines if not line.startswith(" ")))
            page.append("```sh\n" + "\n".join(code) + "\n```")
        else:
            page.append(part)
    return "\n\n".join(p for p in page if p)


def _options(command: Any) -> str:
    rows = []
    for p in command.params:
        if p.name == "help" or getattr(p, "hidden", False):
            continue
        names = ", ".join([*p.opts, *p.secondary_opts]) if p.param_type_name == "option" else p.display_name_raw.upper()
        if p.required:
            default = "required"
        elif isinstance(p.show_default, str):
            default = p.show_default
        else:
            default = "" if p.default is None or p.default is False else f"`{getattr(p.default, 'value', p.default)}`"
        metavar = f" {p.metavar}" if p.param_type_name == "option" and p.metavar else ""
        variable = f" (or `{p.envvar}`)" if p.envvar else ""
        rows.append((f"`{names}{metavar}`{variable}", default, p.help or ""))
    return _table(("option", "default", "what it is"), rows) if rows else ""


if __name__ == "__main__":
    os.environ.pop("CALLSHEET_HOME", None)
    sys.exit(main("--check" in sys.argv[1:]))
