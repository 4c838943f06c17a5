"""What the contact graphs are made from, each source apart, so that a change of one leaves the others as they are."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from features.entities import born, facts, instants, texts
from features.graph import ContactGraphs
from features.known import Known
from features.memberships import (
    WORK_TABLES,
    Hub,
    Memberships,
    Presence,
    Spans,
    read_lines,
    read_meetings,
    read_opportunities,
)
from features.ties import Arrivals, Ties
from features.worked import Worked


class Tied(Known):
    """The contacts' memberships, the leads that came in, and whom each rep works."""

    @cached_property
    def presence(self) -> Presence:
        """Who is at which account, and when."""
        return Presence.of(self.contacts.account, self.contacts.born, len(self.account_index))

    @cached_property
    def arrived(self) -> Spans:
        """One row per lead: contact, hub = its solution, at = created_at, since = known."""
        leads = self.leads
        return Spans.of(leads.contact, leads.solution, leads.born, at=instants(self.lead_frame, "created_at"))

    @cached_property
    def interest(self) -> Spans:
        """What the contacts did, by the solution that it was about."""
        rows = facts(self.tables, "activities")
        solution = self.solutions.codes(texts(rows, "solution"))
        return Spans.of(self.contact_index.find(rows["contact_id"]), solution, born(rows, "occurred_at"))

    @cached_property
    def encounters(self) -> Spans:
        """Who sat in which meeting."""
        return read_meetings(self.tables, self.contact_index, self.rep_index)

    @cached_property
    def deals(self) -> Spans:
        """Who takes part in which opportunity."""
        return read_opportunities(self.tables, self.contact_index, self.rep_index)

    @cached_property
    def calls(self) -> Spans:
        """Whom the reps touched."""
        rows = facts(self.tables, "touches")
        contact = self.contact_index.find(rows["contact_id"])
        return Spans.of(
            contact, np.zeros(len(contact), np.int64), born(rows, "occurred_at"), at=instants(rows, "occurred_at"),
            rep=self.rep_index.find(rows["rep_id"]),
        )  # fmt: skip

    @cached_property
    def memberships(self) -> Memberships:
        """Who has what in common with others."""
        return Memberships.of(
            self.presence,
            {
                Hub.SOLUTION_INTEREST: Spans.joined(self.arrived, self.interest),
                Hub.REPORTS_TO: read_lines(self.contacts.reports_to, self.contacts.born),
                Hub.MET_TOGETHER: self.encounters,
                Hub.SAME_OPPORTUNITY: self.deals,
            },
        )

    @cached_property
    def worked(self) -> Worked:
        """Whom each rep works: touched, met, or sold to."""
        work = Spans.joined(self.calls, self.encounters, self.deals).known()
        return Worked(work, self.presence, len(self.rep_index))

    @cached_property
    def arrivals(self) -> Arrivals:
        """The leads that came in, by account and solution."""
        return Arrivals(self.arrived.known(), self.presence, len(self.solutions))

    @cached_property
    def ties(self) -> Ties:
        """The contact graphs, and whom each rep works; the graphs themselves are built as they are asked for."""
        work_told = bool(WORK_TABLES & set(self.tables))
        return Ties(ContactGraphs(self.memberships), self.worked, self.arrivals, work_told=work_told)
