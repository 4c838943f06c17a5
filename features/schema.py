"""The CRM tables: the one place that names each table and column, its type, its range and what it refers to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """How a cell is read; every cell arrives as text or null."""

    ID = "id"  # text that names a row; never trimmed, never a number
    TEXT = "text"
    LIST = "list"  # text, items separated by ";"
    TIME = "time"  # an instant, UTC once read
    MONEY = "money"  # USD, >= 0
    NUMBER = "number"
    SHARE = "share"  # 0..1
    FLAG = "flag"  # true/false, 1/0, yes/no


@dataclass(frozen=True)
class Column:
    """One column of a table.

    required    the column must be there and hold a value in every row
    references  the table whose key it must be found in (orphans of optional columns are warned of, by count)
    allowed     the closed set of values, in lower case
    ahead       an instant that may lie in the future: a plan, an end, an appointment; all others tell of the past
    """

    name: str
    kind: Kind = Kind.TEXT
    required: bool = False
    references: str | None = None
    allowed: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    zone: bool = False  # text that names a time zone
    ahead: bool = False


@dataclass(frozen=True)
class Table:
    """A table's contract. `event` is the column that dates its rows (the fact's own time)."""

    name: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    event: str | None = None
    required: bool = False
    made_key: bool = False  # a missing key column is made from the row's content

    def __getitem__(self, name: str) -> Column:
        return next(c for c in self.columns if c.name == name)

    @property
    def names(self) -> tuple[str, ...]:
        """Column names in contract order."""
        return tuple(c.name for c in self.columns)


ROLES = ("enterprise", "segment", "product", "regional", "vertical", "partner", "channel", "inside", "ldr", "bdr")
STATUSES = ("prospect", "customer", "partner", "former")
ANSWERS = ("accepted", "rejected", "expired", "withdrawn", "reassigned")
OUTCOMES = ("won", "lost", "no_decision")
REJECT_REASONS = (
    "not_my_territory", "not_my_product", "bad_fit", "bad_data", "no_capacity", "known_dead", "other",
)  # fmt: skip

#: What outcomes move: read only as far as `changes` or `known_at` tells.
OUTCOME_MOVED = {
    "accounts": ("status", "owner_rep_id", "churn_risk"),
    "opportunities": ("stage", "forecast_weight", "amount"),
}
#: Columns whose history `changes` may hold.
TRACKED = {
    "accounts": ("status", "owner_rep_id", "churn_risk", "annual_revenue", "employees", "segment"),
    "contacts": ("title", "account_id", "reports_to"),
    "reps": ("role", "segment", "regions", "product_lines", "weekly_capacity"),
    "leads": ("status", "grade", "behavior_score", "budget", "authority", "need", "timeline"),
    "opportunities": ("stage", "forecast_weight", "amount", "expected_close"),
}


def _id(name: str, references: str | None = None, *, required: bool = False) -> Column:
    return Column(name, Kind.ID, required, references)


def _time(name: str, *, required: bool = False) -> Column:
    return Column(name, Kind.TIME, required)


def _ahead(name: str, *, required: bool = False) -> Column:
    return Column(name, Kind.TIME, required, ahead=True)


def _text(*names: str) -> tuple[Column, ...]:
    return tuple(Column(n) for n in names)


def _money(name: str) -> Column:
    return Column(name, Kind.MONEY, low=0, high=1e15)


def _number(name: str, low: float = 0) -> Column:
    return Column(name, Kind.NUMBER, low=low, high=1e9)  # what no CRM holds would overflow the features


def _share(name: str) -> Column:
    return Column(name, Kind.SHARE, low=0, high=1)


def _table(
    name: str, key: str, *columns: Column, event: str | None = None, required: bool = False, made_key: bool = False
) -> Table:
    """Every table may carry known_at: when the fact became known, if later than its own time."""
    return Table(name, tuple(key.split()), (*columns, _time("known_at")), event, required, made_key)


TABLES: dict[str, Table] = {
    t.name: t
    for t in (
        _table(
            "accounts", "account_id", _id("account_id", required=True), Column("name", required=True),
            *_text("domain"), _id("parent_account_id", "accounts"), _id("naics"), _id("sic"),
            _money("annual_revenue"), _number("employees"), *_text("country", "region", "segment"),
            Column("status", allowed=STATUSES), _time("customer_since"), _share("churn_risk"),
            _id("owner_rep_id", "reps"), _time("created_at", required=True), event="created_at", required=True,
        ),
        _table(
            "contacts", "contact_id", _id("contact_id", required=True), _id("account_id", "accounts", required=True),
            *_text("title", "function", "seniority"), _id("reports_to", "contacts"), *_text("email"),
            Column("objects_to_profiling", Kind.FLAG), _time("created_at", required=True),
            event="created_at", required=True,
        ),
        _table(
            "activities", "activity_id", _id("activity_id", required=True),
            _id("contact_id", "contacts", required=True), Column("kind", required=True), _id("solution"),
            _id("campaign_id", "campaigns"), _time("occurred_at", required=True), event="occurred_at", made_key=True,
        ),
        _table(
            "campaigns", "campaign_id", _id("campaign_id", required=True), Column("name", required=True),
            *_text("kind"), _id("solution"), _ahead("starts_at"), _ahead("ends_at"), _money("cost"), event="starts_at",
        ),
        _table(
            "leads", "lead_id", _id("lead_id", required=True), _id("contact_id", "contacts", required=True),
            _id("account_id", "accounts"), _id("solution", required=True), *_text("source"),
            _id("campaign_id", "campaigns"), _time("created_at", required=True),
            _number("behavior_score"), *_text("grade"), _number("fields_filled"),
            *_text("budget", "authority", "need", "timeline"), _time("qualified_at"), _id("qualified_by", "reps"),
            Column("status", allowed=("open", "closed")), _time("closed_at"), event="created_at", required=True,
        ),
        _table(
            "reps", "rep_id", _id("rep_id", required=True), Column("name", required=True),
            Column("role", required=True, allowed=ROLES), *_text("segment"), Column("regions", Kind.LIST),
            Column("product_lines", Kind.LIST), Column("industries", Kind.LIST), _ahead("hired_at"),
            Column("focus", allowed=("new", "existing", "both")), _number("weekly_capacity"),
            Column("timezone", zone=True), *_text("country"), Column("pilot", Kind.FLAG), _ahead("active_until"),
            required=True,
        ),
        _table(
            "preferences", "preference_id", _id("preference_id", required=True), _id("rep_id", "reps", required=True),
            Column("subject", required=True, allowed=("account", "contact", "solution")),
            _id("subject_id", required=True), Column("rule", required=True, allowed=("include", "exclude")),
            _ahead("since", required=True), _ahead("until"), event="since", made_key=True,
        ),
        _table(
            "time_off", "time_off_id", _id("time_off_id", required=True), _id("rep_id", "reps", required=True),
            _ahead("starts_at", required=True), _ahead("ends_at", required=True), made_key=True,
        ),
        _table(
            "meetings", "meeting_id", _id("meeting_id", required=True), _id("rep_id", "reps", required=True),
            _id("account_id", "accounts", required=True), _id("contact_id", "contacts"),
            _ahead("starts_at", required=True), _time("created_at", required=True), _time("cancelled_at"),
            event="created_at", made_key=True,
        ),
        _table(
            "meeting_contacts", "meeting_id contact_id", _id("meeting_id", "meetings", required=True),
            _id("contact_id", "contacts", required=True),
        ),
        _table(
            "touches", "touch_id", _id("touch_id", required=True), _id("rep_id", "reps", required=True),
            _id("contact_id", "contacts", required=True), Column("kind", required=True),
            _time("occurred_at", required=True), event="occurred_at", made_key=True,
        ),
        _table(
            "opportunities", "opportunity_id", _id("opportunity_id", required=True),
            _id("account_id", "accounts", required=True), _id("rep_id", "reps", required=True),
            _id("contact_id", "contacts"), _id("solution"), *_text("stage"), _share("forecast_weight"),
            _money("amount"), _time("opened_at", required=True), _ahead("expected_close"), _time("closed_at"),
            Column("outcome", allowed=OUTCOMES), *_text("reason"), event="opened_at",
        ),
        _table(
            "opportunity_contacts", "opportunity_id contact_id",
            _id("opportunity_id", "opportunities", required=True), _id("contact_id", "contacts", required=True),
            *_text("role"),
        ),
        _table(
            "offers", "offer_id", _id("offer_id", required=True), _id("lead_id", "leads", required=True),
            _id("rep_id", "reps", required=True), _time("offered_at", required=True), _id("decision_id"),
            _number("attempt", 1), *_text("policy"), _share("propensity"),
            Column("answer", allowed=ANSWERS), _time("answered_at"), *_text("reject_reason"),
            _id("opportunity_id", "opportunities"), _time("converted_at"), event="offered_at",
        ),
        _table(
            "changes", "table_name row_id column_name valid_from", Column("table_name", required=True),
            _id("row_id", required=True), Column("column_name", required=True), *_text("value"),
            _time("valid_from", required=True), event="valid_from",
        ),
        _table(
            "assets", "asset_id", _id("asset_id", required=True),
            Column("kind", required=True, allowed=("collateral", "training", "campaign")),
            Column("title", required=True), _id("solution"), Column("roles", Kind.LIST), Column("stages", Kind.LIST),
            _ahead("published_at", required=True), event="published_at",
        ),
        _table(
            "asset_uses", "asset_use_id", _id("asset_use_id", required=True), _id("rep_id", "reps", required=True),
            _id("asset_id", "assets", required=True), _time("used_at", required=True),
            _id("opportunity_id", "opportunities"), event="used_at", made_key=True,
        ),
    )
}  # fmt: skip
