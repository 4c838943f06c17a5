"""The CRM tables, under the names that training reads."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from serving.ledger.types import Instant

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the CRM tables."""
    op.create_table(
        "accounts",
        sa.Column("account_id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("domain", sa.Text),
        sa.Column("parent_account_id", sa.Text),
        sa.Column("naics", sa.Text),
        sa.Column("sic", sa.Text),
        sa.Column("annual_revenue", sa.Double),
        sa.Column("employees", sa.Double),
        sa.Column("country", sa.Text),
        sa.Column("region", sa.Text),
        sa.Column("segment", sa.Text),
        sa.Column("status", sa.Text),
        sa.Column("customer_since", Instant()),
        sa.Column("churn_risk", sa.Double),
        sa.Column("owner_rep_id", sa.Text),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("known_at", Instant()),
    )
    op.create_table(
        "contacts",
        sa.Column("contact_id", sa.Text, primary_key=True),
        sa.Column("account_id", sa.Text, nullable=False),
        sa.Column("title", sa.Text),
        sa.Column("function", sa.Text),
        sa.Column("seniority", sa.Text),
        sa.Column("reports_to", sa.Text),
        sa.Column("email", sa.Text),
        sa.Column("objects_to_profiling", sa.Boolean),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("known_at", Instant()),
    )
    op.create_index("ix_contacts_account_id", "contacts", ["account_id"])
    op.create_table(
        "activities",
        sa.Column("activity_id", sa.Text, primary_key=True),
        sa.Column("contact_id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("solution", sa.Text),
        sa.Column("campaign_id", sa.Text),
        sa.Column("occurred_at", Instant(), nullable=False),
        sa.Column("known_at", Instant()),
    )
    op.create_table(
        "campaigns",
        sa.Column("campaign_id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("kind", sa.Text),
        sa.Column("solution", sa.Text),
        sa.Column("starts_at", Instant()),
        sa.Column("ends_at", Instant()),
        sa.Column("cost", sa.Double),
        sa.Column("known_at", Instant()),
    )
    op.create_table(
        "leads",
        sa.Column("lead_id", sa.Text, primary_key=True),
        sa.Column("contact_id", sa.Text, nullable=False),
        sa.Column("account_id", sa.Text),
        sa.Column("solution", sa.Text, nullable=False),
        sa.Column("source", sa.Text),
        sa.Column("campaign_id", sa.Text),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("behavior_score", sa.Double),
        sa.Column("grade", sa.Text),
        sa.Column("fields_filled", sa.Double),
        sa.Column("budget", sa.Text),
        sa.Column("authority", sa.Text),
        sa.Column("need", sa.Text),
        sa.Column("timeline", sa.Text),
        sa.Column("qualified_at", Instant()),
        sa.Column("qualified_by", sa.Text),
        sa.Column("status", sa.Text),
        sa.Column("closed_at", Instant()),
        sa.Column("known_at", Instant()),
    )
    op.create_index("ix_leads_contact_id", "leads", ["contact_id"])
    op.create_table(
        "reps",
        sa.Column("rep_id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("segment", sa.Text),
        sa.Column("regions", sa.Text),
        sa.Column("product_lines", sa.Text),
        sa.Column("industries", sa.Text),
        sa.Column("hired_at", Instant()),
        sa.Column("focus", sa.Text),
        sa.Column("weekly_capacity", sa.Double),
        sa.Column("timezone", sa.Text),
        sa.Column("country", sa.Text),
        sa.Column("pilot", sa.Boolean),
        sa.Column("active_until", Instant()),
        sa.Column("known_at", Instant()),
    )
    op.create_table(
        "preferences",
        sa.Column("preference_id", sa.Text, primary_key=True),
        sa.Column("rep_id", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("subject_id", sa.Text, nullable=False),
        sa.Column("rule", sa.Text, nullable=False),
        sa.Column("since", Instant(), nullable=False),
        sa.Column("until", Instant()),
        sa.Column("known_at", Instant()),
    )
    op.create_table(
        "time_off",
        sa.Column("time_off_id", sa.Text, primary_key=True),
        sa.Column("rep_id", sa.Text, nullable=False),
        sa.Column("starts_at", Instant(), nullable=False),
        sa.Column("ends_at", Instant(), nullable=False),
        sa.Column("known_at", Instant()),
    )
    op.create_table(
        "meetings",
        sa.Column("meeting_id", sa.Text, primary_key=True),
        sa.Column("rep_id", sa.Text, nullable=False),
        sa.Column("account_id", sa.Text, nullable=False),
        sa.Column("contact_id", sa.Text),
        sa.Column("starts_at", Instant(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("cancelled_at", Instant()),
        sa.Column("known_at", Instant()),
    )
    op.create_table(
        "meeting_contacts",
        sa.Column("meeting_id", sa.Text, primary_key=True),
        sa.Column("contact_id", sa.Text, primary_key=True),
        sa.Column("known_at", Instant()),
    )
    op.create_table(
        "touches",
        sa.Column("touch_id", sa.Text, primary_key=True),
        sa.Column("rep_id", sa.Text, nullable=False),
        sa.Column("contact_id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("occurred_at", Instant(), nullable=False),
        sa.Column("known_at", Instant()),
    )
    op.create_table(
        "opportunities",
        sa.Column("opportunity_id", sa.Text, primary_key=True),
        sa.Column("account_id", sa.Text, nullable=False),
        sa.Column("rep_id", sa.Text, nullable=False),
        sa.Column("contact_id", sa.Text),
        sa.Column("solution", sa.Text),
        sa.Column("stage", sa.Text),
        sa.Column("forecast_weight", sa.Double),
        sa.Column("amount", sa.Double),
        sa.Column("opened_at", Instant(), nullable=False),
        sa.Column("expected_close", Instant()),
        sa.Column("closed_at", Instant()),
        sa.Column("outcome", sa.Text),
        sa.Column("reason", sa.Text),
        sa.Column("known_at", Instant()),
    )
    op.create_table(
        "opportunity_contacts",
        sa.Column("opportunity_id", sa.Text, primary_key=True),
        sa.Column("contact_id", sa.Text, primary_key=True),
        sa.Column("role", sa.Text),
        sa.Column("known_at", Instant()),
    )
    op.create_table(
        "offers",
        sa.Column("offer_id", sa.Text, primary_key=True),
        sa.Column("lead_id", sa.Text, nullable=False),
        sa.Column("rep_id", sa.Text, nullable=False),
        sa.Column("offered_at", Instant(), nullable=False),
        sa.Column("decision_id", sa.Text),
        sa.Column("attempt", sa.Double),
        sa.Column("policy", sa.Text),
        sa.Column("propensity", sa.Double),
        sa.Column("answer", sa.Text),
        sa.Column("answered_at", Instant()),
        sa.Column("reject_reason", sa.Text),
        sa.Column("opportunity_id", sa.Text),
        sa.Column("converted_at", Instant()),
        sa.Column("known_at", Instant()),
    )
    op.create_index("ix_offers_lead_id", "offers", ["lead_id"])
    op.create_index("ix_offers_rep_id", "offers", ["rep_id", "offered_at"])
    op.create_table(
        "changes",
        sa.Column("table_name", sa.Text, primary_key=True),
        sa.Column("row_id", sa.Text, primary_key=True),
        sa.Column("column_name", sa.Text, primary_key=True),
        sa.Column("value", sa.Text),
        sa.Column("valid_from", Instant(), primary_key=True),
        sa.Column("known_at", Instant()),
    )
    op.create_table(
        "assets",
        sa.Column("asset_id", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("solution", sa.Text),
        sa.Column("roles", sa.Text),
        sa.Column("stages", sa.Text),
        sa.Column("published_at", Instant(), nullable=False),
        sa.Column("known_at", Instant()),
    )
    op.create_table(
        "asset_uses",
        sa.Column("asset_use_id", sa.Text, primary_key=True),
        sa.Column("rep_id", sa.Text, nullable=False),
        sa.Column("asset_id", sa.Text, nullable=False),
        sa.Column("used_at", Instant(), nullable=False),
        sa.Column("opportunity_id", sa.Text),
        sa.Column("known_at", Instant()),
    )


def downgrade() -> None:
    """What was recorded is not thrown away."""
    raise NotImplementedError("A ledger does not go back to an older schema; restore a backup instead.")
