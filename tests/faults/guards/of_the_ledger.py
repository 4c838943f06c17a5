"""The guards of what the ledger keeps: commits, offers, what happened to them, and the record of it."""

from __future__ import annotations

from tests.faults.guards.guard import Guard

LEDGER = "tests/serving/ledger/"

COMMITS = [
    Guard(
        "a writer takes SQLite's lock before it reads", "serving/ledger/database.py",
        '"BEGIN IMMEDIATE" if options.get("writes", False) else "BEGIN"', '"BEGIN"',
        LEDGER + "test_releases.py::test_a_writer_holds_its_lock_from_the_first_statement",
    ),
    Guard(
        "a commit is on SQLite's disk before it is said", "serving/ledger/database.py",
        '"synchronous=FULL"', '"synchronous=NORMAL"',
        LEDGER + "test_releases.py::test_sqlite_is_durable_and_uses_wal_only_where_it_is_safe",
    ),
    Guard(
        "and on PostgreSQL's, whatever a role's default is", "serving/ledger/database.py",
        "\" AND setting = 'off'\"", "\" AND setting = 'never'\"",
        LEDGER + "test_durable.py::test_no_commit_is_said_before_it_is_on_the_disk"
        "[DATABASE {database}-off-on-postgresql]",
    ),
    Guard(
        "a reader sees one state on PostgreSQL", "serving/ledger/database.py",
        'connection.execution_options(isolation_level="REPEATABLE READ")', "pass",
        LEDGER + "test_change.py::test_a_reader_sees_one_state_throughout[postgresql]",
    ),
    Guard(
        "a promotion is based on what serves now", "serving/ledger/releases.py",
        "if (now.revision if now else 0) != seen:", "if False:",
        LEDGER + "test_releases.py::test_a_promotion_based_on_what_never_was_is_refused[sqlite]",
    ),
    Guard(
        "the key of a request finds its answer", "serving/ledger/idempotency.py",
        "if row is None:", "if True:",
        LEDGER + "test_idempotency.py::test_the_same_key_gets_the_same_answer_and_one_effect[sqlite]",
        r"^serving\.ledger\.database\.LedgerError: .*UNIQUE constraint failed: idempotency",
    ),
    Guard(
        "and its answer is kept in the change that it tells of", "serving/decide.py",
        "keep(change, once, 200, draft.text)", "pass",
        "tests/serving/test_decide.py::test_the_same_key_gets_the_same_answer_and_no_second_offer[sqlite]",
    ),
    Guard(
        "a key stands for one body", "serving/ledger/idempotency.py",
        "if row.body_hash != once.body_hash:", "if False:",
        LEDGER + "test_idempotency.py::test_another_body_under_the_same_key_is_refused[sqlite]",
    ),
    Guard(
        "a key is its caller's own", "serving/ledger/idempotency.py",
        'return cls(f"{whose} {route}", ', "return cls(route, ",
        LEDGER + "test_idempotency.py::test_a_key_is_its_actors_own_and_one_routes[sqlite]",
    ),
    Guard(
        "what its caller gave up is not committed", "serving/ledger/database.py",
        "deadline.check()\n                    commits = True", "commits = True",
        "tests/serving/test_deadline.py::test_what_its_caller_gave_up_before_the_commit_is_not_committed[sqlite]",
    ),
    Guard(
        "one process of many does what is done for all", "serving/ledger/leases.py",
        "where=free\n", "\n",
        "tests/serving/test_sla.py::test_one_process_of_many_does_it[sqlite]",
    ),
    Guard(
        "a lease that reaches too far ends", "serving/ledger/leases.py",
        "ended = or_(LEASES.c.until <= now, LEASES.c.until > now + 2 * LEASE)", "ended = LEASES.c.until <= now",
        "tests/faults/test_clocks.py::test_who_holds_the_lease_by_a_clock_that_was_ahead_does_not_keep_the_others_from_it"
        "[sqlite]",
    ),
    Guard(
        "what crossed another is done again", "serving/ledger/again.py",
        "for round_ in range(AGAIN):", "for round_ in range(0):",
        LEDGER + "test_change.py::test_what_crossed_another_is_done_again_a_few_times_and_then_refused[3]",
        r"^serving\.ledger\.database\.Crossed",
    ),
    Guard(
        "what is asked now is as of no earlier than what is written", "serving/live/crm.py",
        "return max(clock, micros(self.latest)) if self.latest else clock", "return clock",
        "tests/faults/test_clocks.py::test_nothing_known_gets_a_negative_age_when_the_clock_steps_back[sqlite]",
    ),
]  # fmt: skip

OFFERS = [
    Guard(
        "the table of holds has one row a lead", "serving/ledger/migrations/versions/0003_record.py",
        'sa.Column("lead_id", sa.Text, primary_key=True),\n        sa.Column("offer_id", sa.Text, unique=True',
        'sa.Column("lead_id", sa.Text),\n        sa.Column("offer_id", sa.Text, unique=True',
        LEDGER + "test_holds.py::test_the_database_itself_lets_one_offer_hold_a_lead[sqlite-lead]",
    ),
    Guard(
        "who holds a lead is asked where it is offered", "serving/ledger/offers.py",
        'return "lead_taken" if row.held else None', "return None",
        LEDGER + "test_events.py::test_never_reassigned_to_who_had_it_to_nobody_or_from_who_does_not_hold_it[sqlite]",
        r"^(AssertionError|assert |serving\.ledger\.database\.LedgerError: .*UNIQUE constraint failed: holds)",
    ),
    Guard(
        "nobody is offered a lead that he had", "serving/ledger/offers.py",
        "if row.had:", "if False:",
        LEDGER + "test_events.py::test_never_reassigned_to_who_had_it_to_nobody_or_from_who_does_not_hold_it[sqlite]",
    ),
    Guard(
        "whether a rep has room is asked where the offer is made", "serving/ledger/offers.py",
        "(room is not None and room < 1) or row.spent", "row.spent",
        "tests/serving/test_decide.py::test_racing_callers_give_no_lead_twice_and_no_rep_too_many[sqlite]",
    ),
    Guard(
        "whether he is away, too", "serving/ledger/offers.py",
        "if row.away:", "if False:",
        "tests/serving/test_decide.py::test_a_rep_on_leave_since_a_minute_ago_gets_nothing[sqlite]",
    ),
    Guard(
        "whether he has begun", "serving/ledger/offers.py",
        "(row.hired_at or at) > at", "False",
        LEDGER + "test_events.py::test_never_reassigned_to_who_is_not_there_yet_or_no_more[sqlite-not begun]",
    ),
    Guard(
        "and whether he left", "serving/ledger/offers.py",
        "(row.active_until is not None and row.active_until <= at)", "False",
        "tests/serving/test_decide.py::test_what_changed_since_the_book_was_read_is_seen_when_the_offer_is_made[sqlite]",
    ),
    Guard(
        "a place that was given back and taken is not taken again", "serving/ledger/events.py",
        "if start <= offer[\"offered_at\"] < end and room is not None and room < 1:", "if False:",
        LEDGER + "test_events.py::test_who_gave_the_place_back_does_not_take_it_again_once_it_is_taken[sqlite]",
    ),
    Guard(
        "a lead that went on is not accepted", "serving/ledger/events.py",
        "if held is not None and held.offer_id != offer[\"offer_id\"] and (back or held.answer == \"accepted\"):",
        "if False:",
        LEDGER + "test_events.py::test_an_acceptance_after_the_lead_went_on_is_refused[sqlite]",
    ),
    Guard(
        "an event that was told before is a duplicate", "serving/ledger/events.py",
        "if kept is not None:", "if False:",
        LEDGER + "test_events.py::test_the_same_event_again_is_a_duplicate_and_another_body_is_refused[sqlite]",
        r"^serving\.ledger\.database\.LedgerError: .*UNIQUE constraint failed: events",
    ),
    Guard(
        "an event of an unknown offer is parked", "serving/ledger/events.py",
        "self._keep(told, body, actor.name, parked=True)", "self._keep(told, body, actor.name, parked=False)",
        LEDGER + "test_events.py::test_events_of_an_unknown_offer_are_parked_and_joined[sqlite]",
    ),
    Guard(
        "an event of the future is refused", "serving/ledger/events.py",
        "if told.at - self.change.at > AHEAD:", "if False:",
        LEDGER + "test_events.py::test_what_lies_in_the_future_is_refused_and_a_clock_that_is_a_little_ahead_is_not"
        "[sqlite]",
    ),
    Guard(
        "a rep tells of his own offers", "serving/ledger/events.py",
        "if actor.rep_id is not None and (offer is None or offer[\"rep_id\"] != actor.rep_id):", "if False:",
        LEDGER + "test_events.py::test_a_rep_records_own_answers_only[sqlite]",
    ),
    Guard(
        "a lead is offered again as often as configured", "serving/onward.py",
        "if lead.offers > attempts:", "if False:",
        "tests/serving/test_sla.py::test_a_lead_is_offered_again_as_often_as_configured_and_then_unplaced[sqlite]",
    ),
    Guard(
        "a worker that cannot follow the ledger offers nothing", "serving/uptodate.py",
        "if seconds > STALE:", "if False:",
        "tests/serving/live/test_uptodate.py::test_a_worker_that_cannot_follow_the_ledger_for_long_offers_nothing"
        "[sqlite]",
    ),
    Guard(
        "a held-out account stays one", "serving/policy.py",
        "return _part(policy.salt, account_id) < policy.holdout",
        "return bool(np.random.default_rng().random() < policy.holdout)",
        "tests/serving/test_policy.py::test_a_held_out_account_stays_one_and_the_share_is_kept",
    ),
    Guard(
        "who may not be known to fit does not", "features/eligibility.py",
        'self.lenient = config.unknown == "allow"', "self.lenient = True",
        "tests/features/test_eligibility.py::test_each_rule_refuses_alone[region not known]",
    ),
    Guard(
        "an exclusion wins over all", "features/eligibility.py",
        'refused[self._wishes("exclude", asked)] = _PLACE["exclusion"]', "pass",
        "tests/features/test_eligibility.py::test_each_rule_refuses_alone[exclude wins over include]",
    ),
]  # fmt: skip

RECORD = [
    Guard(
        "the database refuses to change a row of the audit", "serving/ledger/migrations/versions/0003_record.py",
        'op.execute(f"CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit {stop}")', "pass",
        LEDGER + "test_audit.py::test_the_database_itself_refuses_to_change_a_row"
        "[sqlite-UPDATE audit SET actor = 'x' WHERE number = 3]",
    ),
    Guard(
        "or to take one out", "serving/ledger/migrations/versions/0003_record.py",
        'op.execute(f"CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit {stop}")', "pass",
        LEDGER + "test_audit.py::test_the_database_itself_refuses_to_change_a_row"
        "[sqlite-DELETE FROM audit WHERE number = 3]",
    ),
    Guard(
        "or to replace one", "serving/ledger/migrations/versions/0003_record.py",
        'op.execute(f"CREATE TRIGGER audit_no_replace BEFORE INSERT ON audit WHEN {taken} {stop}")', "pass",
        LEDGER + "test_audit.py::test_the_database_itself_refuses_to_change_a_row[sqlite-replace]",
    ),
    Guard(
        "the role that serves may not change the audit at all", "serving/ledger/grants.py",
        '"audit": _ADDS,', '"audit": _ALL,',
        LEDGER + "test_grants.py::test_the_server_refuses_to_rewrite_the_record",
        r"^serving\.ledger\.database\.LedgerError: .*audit is append-only",
    ),
    Guard(
        "a row of the audit has the hash of what it says", "serving/ledger/audit.py",
        "if row.hash != _hash(said):", "if False:",
        LEDGER + "test_audit.py::test_a_row_that_was_changed_is_named[sqlite-4-actor]",
    ),
    Guard(
        "and of the row before it", "serving/ledger/audit.py",
        "if row.prior_hash != last.hash:", "if False:",
        LEDGER + "test_audit.py::test_a_row_that_was_forged_with_its_own_hash_is_told_by[sqlite-the next]",
    ),
    Guard(
        "the ledger's clock knows the hash of the last one", "serving/ledger/audit.py",
        "return None if kept == last else", "return None if True else",
        LEDGER + "test_audit.py::test_a_row_that_was_forged_with_its_own_hash_is_told_by[sqlite-the clock]",
    ),
    Guard(
        "and its number", "serving/ledger/audit.py",
        "if max(kept.number, payloads,", "if max(payloads,",
        LEDGER + "test_audit.py::test_a_row_that_was_taken_out_is_named[sqlite-7]",
    ),
    Guard(
        "its payload has the hash that it names", "serving/ledger/audit.py",
        "if row.salt is not None and _sealed(row.salt, row.body) != row.payload_hash:", "if False:",
        LEDGER + "test_audit.py::test_a_payload_that_was_changed_or_taken_is_named[sqlite]",
    ),
    Guard(
        "it vouches for decisions, offers and events", "serving/ledger/audit.py",
        "return Tampered(*wrong) if wrong else None", "return None",
        LEDGER + "test_audit.py::test_a_row_that_the_audit_vouches_for_is_held_to_it[sqlite]",
    ),
    Guard(
        "what is recorded is audited in the same change", "serving/recording.py",
        'audit(change, actor.name, "record", " ".join(offers), said | answer)', "pass",
        "tests/serving/test_recording.py::test_a_request_that_cannot_be_audited_records_nothing[sqlite]",
    ),
    Guard(
        "an offer is audited in the change that makes it", "serving/decide.py",
        'record(change, actor.name, "offer" if told["offers"] else "no_offer", decision_id, told)', "pass",
        "tests/serving/test_decide.py::test_a_commit_offers_the_lead_to_the_best_rep_and_holds_it[sqlite]",
    ),
    Guard(
        "an export that cannot be noted is not taken", "serving/ledger/export.py",
        'note_taken(', '(lambda *_: None)(',
        LEDGER + "test_export.py::test_that_an_export_was_taken_is_written_down_or_it_is_not_taken[sqlite]",
    ),
    Guard(
        "a restore forgets again what was erased since", "serving/ledger/backup.py",
        "forgotten = erase_again(change, config, CLI)", "forgotten = 0",
        LEDGER + "test_erase.py::test_a_restored_backup_forgets_again_what_was_erased_since[sqlite-over the ledger]",
    ),
    Guard(
        "by the note beside the ledger, too", "serving/ledger/backup.py",
        "known = noted(home) | _may_go(change, replace)", "known = _may_go(change, replace)",
        LEDGER + "test_erase.py::test_a_restored_backup_forgets_again_what_was_erased_since[sqlite-into a new one]",
    ),
    Guard(
        "what was erased is not taken in again", "serving/ledger/erase.py",
        "        if hashed in erased:", "        if False:",
        LEDGER + "test_erase.py::test_a_forgotten_contact_is_not_taken_in_again[sqlite]",
    ),
    Guard(
        "so is what was sent along and never stored", "serving/ledger/person.py",
        "mine = or_(DECISIONS.c.lead_id.in_(self.leads), DECISIONS.c.decision_id.in_(sent))",
        "mine = DECISIONS.c.lead_id.in_(self.leads)",
        "tests/serving/test_sent_along.py::test_advice_on_it_is_told_of_and_forgotten_with_its_contact"
        "[sqlite-of_a_stored_contact]",
    ),
    Guard(
        "nor is it written down afterwards", "serving/ledger/late.py",
        'return {made.row["lead_id"]} if connection.execute(forgotten).first() is not None else set()', "return set()",
        "tests/serving/test_sent_along.py::test_advice_on_it_is_told_of_and_forgotten_with_its_contact"
        "[sqlite-of_a_new_contact]",
    ),
    Guard(
        "what a rep writes on its offers afterwards is not kept", "serving/ledger/events.py",
        'return [{**event, **emptied(event)} if event["offer_id"] in nobodys else event for event in events]',
        "return list(events)",
        LEDGER + "test_erased_for_good.py::test_what_is_written_on_its_offers_afterwards_is_not_kept[sqlite]",
    ),
    Guard(
        "another's contact is nobody's remains", "serving/ledger/person.py",
        "return _NAMELESS.fullmatch(contact_id) is not None", "return contact_id.lower().startswith(NAMELESS)",
        LEDGER + "test_erased_for_good.py::test_whom_another_system_calls_erased_or_none_is_no_remains_of_an_erasure"
        "[sqlite]",
    ),
    Guard(
        "a worker behind the journal knows of no erasure", "serving/ledger/late.py",
        "            LEDGER_CLOCK.c.journal_from > _KNOWN,\n", "",
        "tests/serving/test_erased_meanwhile.py::"
        "test_a_worker_that_is_behind_the_journal_writes_nothing_either_of_whom_it_may_not_know_to_be_erased[sqlite]",
    ),
    Guard(
        "kept answers about its leads go with it", "serving/ledger/erase.py",
        "        self._replies()\n", "",
        LEDGER + "test_erase.py::test_of_kept_answers_go_those_about_its_leads_and_its_lines_in_sheets_are_emptied"
        "[sqlite]",
    ),
    Guard(
        "its traces are cleared out of the file", "serving/ledger/scrub.py",
        'driver.execute("VACUUM")', "pass",
        LEDGER + "test_erase.py::test_the_canary_is_in_every_place_before_and_in_none_after[sqlite]",
    ),
    Guard(
        "a restore brings no revoked key back", "serving/ledger/backup.py",
        "            merge(change, keys)\n", "",
        LEDGER + "test_backup.py::test_a_restore_brings_no_key_back_that_was_revoked_since_and_loses_none_that_was_made"
        "[sqlite]",
    ),
    Guard(
        "a restore overwrites a ledger only when told to", "serving/ledger/backup.py",
        "if held and not replace:", "if False:",
        LEDGER + "test_backup.py::test_a_ledger_that_holds_something_is_overwritten_only_on_demand[sqlite]",
    ),
]  # fmt: skip

GUARDS = [*COMMITS, *OFFERS, *RECORD]
