"""The ledger's own tables as SQLAlchemy Core knows them; crm.py adds the CRM's, migrations/ makes both."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

from serving.ledger.types import Instant

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

#: Which model serves: the row with the highest revision. Rows are added, never changed, so it is its own history.
RELEASES = Table(
    "releases",
    METADATA,
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("kind", String(16), nullable=False),  # promote, rollback
    Column("model_name", String(200), nullable=False),
    Column("model_version", String(64)),  # null: no model, the rules serve
    Column("content_hash", String(64)),
    Column("feature_version", String(200)),
    Column("market_fingerprint", String(64)),
    Column("promoted_at", DateTime(timezone=True), nullable=False),
    Column("reason", Text, nullable=False),
    Column("forced", Boolean, nullable=False),
    Column("gate", Text, nullable=False),  # JSON: what the gate said
    Column("prior", Integer),  # the revision to which a rollback returns
)

#: Which model is the challenger beside what serves: the row with the highest revision, added as releases are.
CHALLENGERS = Table(
    "challengers",
    METADATA,
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("model_version", String(64)),  # null: none is
    Column("content_hash", String(64)),
    Column("feature_version", String(200)),
    Column("market_fingerprint", String(64)),
    Column("at", Instant(), nullable=False),
    Column("reason", Text, nullable=False),
)

# -- What changed, in one order ---------------------------------------------------------------------------------------

#: One row: how many changes were committed. Whoever writes counts it up, which also lets one write at a time.
LEDGER_CLOCK = Table(
    "ledger_clock",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, nullable=False),
    Column("audit_number", BigInteger, nullable=False),  # the audit's last row, so that a tail cut off is noticed
    Column("audit_hash", String(64), nullable=False),
    Column("journal_from", BigInteger, nullable=False, server_default="0"),  # up to it the journal was pruned
)
#: The rows of CRM tables that each change touched: what a worker reads to follow the others.
JOURNAL = Table(
    "journal",
    METADATA,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("place", Integer, primary_key=True, autoincrement=False),
    Column("at", Instant(), nullable=False),
    Column("table_name", String(64), nullable=False),
    Column("row_id", Text),  # JSON list of the key's values; null: the whole table was replaced
    Column("gone", Boolean, nullable=False),
)

#: The tables and columns of the CRM that its sources had: one that is not named here and holds nothing is missing,
#: which features tell from empty.
CRM_COLUMNS = Table(
    "crm_columns",
    METADATA,
    Column("table_name", String(64), primary_key=True),
    Column("column_name", String(64), primary_key=True),
)

# -- What was decided, and what became of it --------------------------------------------------------------------------

#: Each configuration that decided here and differs from the one before.
CONFIGURATIONS = Table(
    "configurations",
    METADATA,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at", Instant(), nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("body", Text, nullable=False),  # JSON: callsheet.yaml as it was read, without who may call
)
DECISIONS = Table(
    "decisions",
    METADATA,
    Column("decision_id", String(64), primary_key=True),
    Column("at", Instant(), nullable=False),
    Column("actor", String(200), nullable=False),
    Column("route", String(64), nullable=False),
    Column("lead_id", Text),
    Column("rep_id", Text),
    Column("as_of", Instant(), nullable=False),
    Column("policy", String(32), nullable=False),
    Column("rung", String(32), nullable=False),
    Column("degraded_reason", Text),
    Column("model_version", String(64)),
    Column("content_hash", String(64)),
    Column("feature_version", String(200), nullable=False),
    Column("config_fingerprint", String(64), nullable=False),
    Column("inputs_hash", String(64), nullable=False),
    Column("book_seq", BigInteger, nullable=False),  # the last change that the answer knew
    Column("candidates", Integer, nullable=False),
    Column("refused", Text, nullable=False),  # JSON: rule -> count
)
Index("ix_decisions_lead_id", DECISIONS.c.lead_id)
Index("ix_decisions_rep_id", DECISIONS.c.rep_id, DECISIONS.c.at)
#: What explains a decision: zlib of JSON, apart, so that erasure can take it and leave the row.
DECISION_DETAILS = Table(
    "decision_details",
    METADATA,
    Column("decision_id", String(64), primary_key=True),
    Column("body", LargeBinary, nullable=False),
    # Of a lead that was sent along, whose it is; null: the lead is stored, and says so.
    Column("contact_hash", String(64)),
)
_SENT_ALONG: Final = DECISION_DETAILS.c.contact_hash.is_not(None)
Index(
    "ix_decision_details_contact_hash", DECISION_DETAILS.c.contact_hash,
    sqlite_where=_SENT_ALONG, postgresql_where=_SENT_ALONG,
)  # fmt: skip
#: What the challenger would have done of a decision on a lead: written apart, after its answer.
SHADOWS = Table(
    "shadows",
    METADATA,
    Column("decision_id", String(64), primary_key=True),
    Column("at", Instant(), nullable=False),
    Column("model_version", String(64), nullable=False),
    Column("content_hash", String(64), nullable=False),
    Column("rep_id", Text),  # whom it would have taken; null: it failed
    Column("agrees", Boolean),  # whether the model that serves ranks the same rep first
    Column("error", Text),
    # Of the rep who got the offer: what the challenger and the model that served say; null: no model, or erased.
    Column("p_accept", Float),
    Column("p_accept_serving", Float),
    Column("scores", Text),  # JSON: rep_id -> its scores, of whom was answered and whom it would have taken
)
Index("ix_shadows_content_hash", SHADOWS.c.content_hash)
#: Which offer holds a lead: the key lets one open or accepted offer of a lead be, whatever raced.
HOLDS = Table(
    "holds",
    METADATA,
    Column("lead_id", Text, primary_key=True),
    Column("offer_id", Text, nullable=False, unique=True),
    Column("rep_id", Text, nullable=False),
)
#: What was reported of an offer: a set, never changed; the offer's answer is a function of it.
EVENTS = Table(
    "events",
    METADATA,
    Column("event_id", String(200), primary_key=True),
    Column("offer_id", Text, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("at", Instant(), nullable=False),
    Column("body", Text, nullable=False),  # JSON: the event as it was sent
    Column("actor", String(200), nullable=False),
    Column("received_at", Instant(), nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("parked", Boolean, nullable=False),  # its offer is not known yet
)
Index("ix_events_offer_id", EVENTS.c.offer_id)
#: Leads that nobody can take for now, and why.
UNPLACED = Table(
    "unplaced",
    METADATA,
    Column("lead_id", Text, primary_key=True),
    Column("since", Instant(), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("because", Text, nullable=False),  # JSON: rule -> count of reps
    Column("until", Instant()),  # when the first of the refusals ends by itself
    Column("waits_for", String(16), nullable=False, server_default="reps"),  # reps, data, person, plan
)
#: What a rep's answer says is wrong in the data, for marketing ops to settle.
DATA_QUESTIONS = Table(
    "data_questions",
    METADATA,
    Column("event_id", String(200), primary_key=True),
    Column("offer_id", Text, nullable=False),
    Column("lead_id", Text, nullable=False),
    Column("rep_id", Text, nullable=False),
    Column("reason", String(64), nullable=False),
    Column("asked_at", Instant(), nullable=False),
    Column("settled_at", Instant()),
)

# -- Who may ask, and what they did -----------------------------------------------------------------------------------

#: An answer that was committed with its change: the same key gets it again.
IDEMPOTENCY = Table(
    "idempotency",
    METADATA,
    Column("scope", String(300), primary_key=True),  # caller and route
    Column("key", String(255), primary_key=True),
    Column("body_hash", String(64), nullable=False),
    Column("status", Integer, nullable=False),
    Column("body", Text, nullable=False),
    Column("at", Instant(), nullable=False),
)
API_KEYS = Table(
    "api_keys",
    METADATA,
    Column("key_id", String(32), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("secret_hash", String(64), nullable=False, unique=True),
    Column("scopes", Text, nullable=False),  # JSON list
    Column("rep_id", Text),
    Column("created_at", Instant(), nullable=False),
    Column("expires_at", Instant()),
    Column("revoked_at", Instant()),
)
#: Who did what, each row chained to the one before by hash; what it was about lies in AUDIT_PAYLOADS.
AUDIT = Table(
    "audit",
    METADATA,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("at", Instant(), nullable=False),
    Column("actor", String(200), nullable=False),
    Column("action", String(64), nullable=False),
    Column("subject", Text, nullable=False),
    Column("payload_hash", String(64), nullable=False),  # of salt and payload
    Column("prior_hash", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
)
AUDIT_PAYLOADS = Table(
    "audit_payloads",
    METADATA,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("salt", String(64), nullable=False),
    Column("body", Text, nullable=False),
)
#: What one process of many does for all: until when it holds the task.
LEASES = Table(
    "leases",
    METADATA,
    Column("task", String(64), primary_key=True),
    Column("holder", String(200), nullable=False),
    Column("until", Instant(), nullable=False),
)
#: Contacts that were forgotten, by the hash of their id, so that a restored backup forgets them again.
ERASURES = Table(
    "erasures",
    METADATA,
    Column("contact_hash", String(64), primary_key=True),
    Column("at", Instant(), nullable=False),
)
