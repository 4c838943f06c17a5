"""What the tests of faults share with those of the service: its CRM, its databases."""

from __future__ import annotations

from tests.serving.conftest import crm
from tests.serving.databases import ledger, postgres, url

__all__ = ["crm", "ledger", "postgres", "url"]
