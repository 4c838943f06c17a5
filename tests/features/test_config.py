"""callsheet.yaml: what it says when nothing is said, what is refused and how, and what its fingerprints stand for."""

from __future__ import annotations

from pathlib import Path

import pytest

from features.clock import Hours
from features.config import Config, load_config, read_config
from features.errors import ConfigError

FULL = """
markets:
  banks:
    revenue: [500_000_000, 5_000_000_000]
    employees: [100, null]
    naics: ["522", "5239"]
    sic: ["6021", "6022", "6029", "6081"]
    countries: [US, GB, DE]
    regions: [us-east, uk, dach]
    statuses: [prospect, customer]
    accounts: {include: named/banks.csv, exclude: [A00017]}
    solutions: [payments, analytics]
    buyers:
      - {functions: [Finance], levels: [c_level, vp, director], keywords: [treasury], solutions: [payments]}
      - {functions: [IT], levels: [c_level, vp, director, manager], keywords: [analytics, architect, BI]}
reps: {territory: true, product_line: true, roles: {channel: {statuses: [partner]}}}
unknown: refuse
timezone: UTC
hours: {days: [mon, tue, wed, thu, fri], from: 9, to: 17}
sla: {accept: 16wh, by_role: {enterprise: 3d}}
labels: {converted: {within: 90d, forecast_weight: 0.10}, won: {within: 365d}}
blocks: {calibrate: 28d, test: 28d}
value: {accept: 0, convert: 1, amount: 0}
behaviour_share: 1.0
history: {assume_constant: []}
"""
SMALL = "markets: {a: {countries: [NO]}}\n"


def write(folder: Path, text: str, ids: str | None = None) -> Path:
    (folder / "named").mkdir()
    if ids is not None:
        (folder / "named" / "banks.csv").write_text(ids, encoding="utf-8")
    path = folder / "callsheet.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_agreement_of_the_design_is_read(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, FULL, "name,account_id\nx,0110\ny,NA\n,\n"))
    banks = config.markets["banks"]
    assert banks.revenue == (5e8, 5e9)
    assert banks.employees == (100, None)
    assert banks.accounts.include == ("0110", "NA")
    assert banks.accounts.exclude == ("A00017",)
    assert banks.buyers is not None
    assert banks.buyers[1].keywords == ("analytics", "architect", "BI")
    assert config.reps.roles["channel"].statuses == ("partner",)
    assert config.sla.of("enterprise").microseconds == 3 * 86_400_000_000
    assert config.sla.of("inside").text == "16wh"


def test_what_is_not_said_is_as_the_design_says() -> None:
    short = read_config(SMALL)
    assert short.markets["a"].countries == ("NO",)  # Norway, not false
    said = read_config(SMALL + FULL[FULL.index("reps:") :].replace("timezone: UTC\n", ""))
    assert said.model_copy(update={"reps": short.reps, "sla": short.sla}) == short


def test_text_keeps_its_text() -> None:
    config = read_config("markets: {off: {sic: [0110, 522], regions: [on, yes, 12], accounts: {exclude: [007]}}}")
    market = config.markets["off"]
    assert market.sic == ("0110", "522")
    assert market.accounts.exclude == ("007",)
    assert market.regions == ("on", "yes", "12")


REFUSED = [
    ("", "markets", "we sell to everyone"),
    ("markets: {}", "markets", "callsheet init"),
    ("markets: {a: {}}", "markets.a", "no rule on accounts"),
    ("markets: {a: {solutions: [x], accounts: {exclude: [A1]}}}", "markets.a", "no rule on accounts"),
    ("markets: {a: {revenu: [1, 2]}}", "markets.a.revenu", "Did you mean revenue? Allowed: revenue, employees"),
    ("markets: {a: {revenue: [2, 1]}}", "markets.a.revenue", "above the high end"),
    ("markets: {a: {revenue: [null, null]}}", "markets.a.revenue", "filters nothing"),
    ("markets: {a: {revenue: [1]}}", "markets.a.revenue", "[low, high]"),
    ("markets: {a: {revenue: ['5', null]}}", "markets.a.revenue[0]", "valid number"),
    ("markets: {a: {revenue: [-1, null]}}", "markets.a.revenue[0]", "greater than or equal to 0"),
    ("markets: {a: {countries: []}}", "markets.a.countries", "leave the key out"),
    ("markets: {a: {countries: US}}", "markets.a.countries", "is not a list"),
    ("markets: {a: {countries: [UK]}}", "markets.a.countries[0]", "Did you mean GB?"),
    ("markets: {a: {countries: [Germany]}}", "markets.a.countries[0]", "Did you mean DE?"),
    ("markets: {a: {countries: [false]}}", "markets.a.countries[0]", "put it in quotes"),
    ("markets: {a: {naics: [52A]}}", "markets.a.naics[0]", "1 to 6 digits"),
    ("markets: {a: {naics: [5.2]}}", "markets.a.naics[0]", "put it in quotes"),
    ("markets: {a: {statuses: [prospekt]}}", "markets.a.statuses[0]", "Did you mean prospect?"),
    ("markets: {a: {accounts: {include: none.csv}}}", "markets.a.accounts", "cannot be read"),
    ("markets: {a: {naics: ['52'], buyers: [{functions: [Finanze]}]}}", "markets.a.buyers[0].functions[0]", "Finance"),
    ("markets: {a: {naics: ['52'], buyers: [{levels: [cxo]}]}}", "markets.a.buyers[0].levels[0]", "c_level"),
    ("markets: {a: {naics: ['52'], buyers: [{}]}}", "markets.a.buyers[0]", "needs functions"),
    (
        "markets: {a: {naics: ['52'], solutions: [x], buyers: [{functions: [IT], solutions: [y]}]}}",
        "markets.a", "a solution that the market does not",
    ),
    (SMALL + "unkown: refuse", "unkown", "Did you mean unknown?"),
    (SMALL + "unknown: maybe", "unknown", "'refuse' or 'allow'"),
    (SMALL + "reps: {territory: yes}", "reps.territory", "neither true nor false"),
    (SMALL + "reps: {roles: {chanel: {}}}", "reps.roles.chanel", "Did you mean channel?"),
    (SMALL + "reps: {roles: {bdr: {}}}", "reps", "gets no offers"),
    (SMALL + "timezone: Mars/Olympus", "timezone", "IANA"),
    (SMALL + "hours: {from: 18}", "hours", "ends (17) before it starts (18)"),
    (SMALL + "hours: {from: 25}", "hours", "not a time of day"),
    (SMALL + "hours: {fro: 8}", "hours.fro", "Allowed: days, from, to"),
    (SMALL + "sla: {accept: 16 hours}", "sla.accept", "16wh (working hours)"),
    (SMALL + "sla: 4", "sla", "Allowed keys: accept, by_role"),
    (SMALL + "sla: {by_grade: {A: soon}}", "sla.by_grade.A", "16wh (working hours)"),
    (SMALL + "hours: {holidays: {dach: DE-XX}}", "hours.holidays.dach", "DE-BY"),
    (SMALL + "hours: {holidays: {dach: Bavaria}}", "hours.holidays.dach", "US-NY"),
    (SMALL + "hours: {holidays: {dach: DE, DACH: AT}}", "hours", "dach, DACH"),
    (SMALL + "reoffers: {attempts: 2.5}", "reoffers.attempts", "integer"),
    (SMALL + "reoffers: {attempts: -1}", "reoffers.attempts", "greater than or equal to 0"),
    (SMALL + "reoffers: {tries: 1}", "reoffers.tries", "Allowed: attempts"),
    (SMALL + "labels: {won: {within: 8wh}}", "labels.won.within", "elapsed time"),
    (SMALL + "labels: {converted: {forecast_weight: 10}}", "labels.converted.forecast_weight", "less than or"),
    (SMALL + "value: {convert: 0}", "value", "all 0"),
    (SMALL + "policy: {shadow: maybe}", "policy.shadow", "nor a share from 0 to 1"),
    (SMALL + "policy: {shadow: 2}", "policy.shadow", "nor a share from 0 to 1"),
    (SMALL + "behaviour_share: -1", "behaviour_share", "greater than or equal to 0"),
    (SMALL + "history: {assume_constant: [accounts.owner]}", "history.assume_constant[0]", "accounts.owner_rep_id?"),
    ("markets: {a: {countries: [NO]}}\nmarkets: {}", None, "stands twice, in lines 1 and 2"),
    ("- a", None, "keys and values"),
    ("markets: [", None, "line 1"),
]  # fmt: skip


def test_a_challenger_looks_on_at_all_at_some_or_at_nothing() -> None:
    said = [read_config(SMALL + f"policy: {{shadow: {text}}}").policy.shadow for text in ("true", "false", "0.25")]
    assert said == [1, 0, 0.25]


def test_a_grade_limits_besides_the_role() -> None:
    sla = read_config(SMALL + "sla: {by_role: {enterprise: 3d}, by_grade: {A: 4wh, 1: 1wh}}").sla
    assert [str(limit) for limit in sla.limits("enterprise", "A")] == ["3d", "4wh"]
    assert [str(limit) for limit in sla.limits("inside", "B")] == ["16wh"]
    assert [str(limit) for limit in sla.limits("inside", "1")] == ["16wh", "1wh"]
    assert [str(limit) for limit in sla.limits("inside", None)] == ["16wh"]


@pytest.mark.parametrize(("text", "field", "says"), REFUSED, ids=[f"{f} {s}" for _, f, s in REFUSED])
def test_what_is_wrong_is_refused_with_its_path_and_remedy(text: str, field: str | None, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_config(text)
    assert caught.value.field == field
    assert says in str(caught.value)


def test_every_wrong_key_is_listed() -> None:
    with pytest.raises(ConfigError) as caught:
        read_config(SMALL + "unknown: maybe\nhours: {from: 18}\nsla: 4")
    assert [line.split(":")[0] for line in str(caught.value).splitlines()] == ["unknown", "hours", "sla"]


def test_without_a_file_the_remedy_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="callsheet init"):
        load_config(tmp_path / "callsheet.yaml")


@pytest.mark.parametrize("ids", ["", "account_id\n"])
def test_a_file_without_ids_is_refused(tmp_path: Path, ids: str) -> None:
    with pytest.raises(ConfigError, match="holds no id"):
        load_config(write(tmp_path, FULL, ids))


def test_the_fingerprint_is_of_what_is_said_not_how(tmp_path: Path) -> None:
    path = write(tmp_path, FULL, "A1\nA2\n")
    one = load_config(path)
    path.write_text(FULL.replace("named/banks.csv", "[A1, A2]").replace("500_000_000,", "500000000,"))
    assert load_config(path).fingerprint == one.fingerprint
    (tmp_path / "named" / "banks.csv").write_text("A1\n")
    path.write_text(FULL)
    assert load_config(path).market_fingerprint != one.market_fingerprint


def test_only_the_market_moves_the_market_fingerprint() -> None:
    one, other = read_config(SMALL), read_config(SMALL + "behaviour_share: 0.5")
    assert one.fingerprint != other.fingerprint
    assert one.market_fingerprint == other.market_fingerprint
    assert read_config(SMALL + "unknown: allow").market_fingerprint != one.market_fingerprint


def test_the_order_of_markets_counts() -> None:
    a, b = "a: {countries: [NO]}", "b: {countries: [DE]}"
    one, other = (read_config(f"markets: {{{first}, {second}}}") for first, second in ((a, b), (b, a)))
    assert one.market_fingerprint != other.market_fingerprint


def test_a_configuration_cannot_be_changed_in_passing() -> None:
    config = read_config(SMALL)
    with pytest.raises(ValueError, match="frozen"):
        config.unknown = "allow"  # type: ignore[misc]
    assert hash(config.hours) == hash(Hours())
    assert isinstance(Config.model_validate(config.model_dump(by_alias=True)), Config)
