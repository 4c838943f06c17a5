"""The guards of the service: who and what comes in, what goes out, and which model answers."""

from __future__ import annotations

from tests.faults.guards.guard import Guard

LEDGER = "tests/serving/ledger/"

ENTRY = [
    Guard(
        "of a key only the hash is kept", "serving/ledger/keys.py",
        "return hashlib.sha256(key.encode()).hexdigest()", "return key",
        LEDGER + "test_keys.py::test_a_key_is_256_random_bits_and_only_its_hash_is_kept[sqlite]",
    ),
    Guard(
        "a rotated key is the same caller's", "serving/ledger/keys.py",
        "expires_at, old.key_id[:CALLER])", "expires_at)",
        LEDGER + "test_keys.py::test_who_rotates_stays_the_caller_that_he_was_and_nobody_else_becomes_it[sqlite]",
    ),
    Guard(
        "a key ends when it expires", "serving/ledger/keys.py",
        'return "expired" if self.expires_at is not None and self.expires_at <= at else "live"', 'return "live"',
        LEDGER + "test_keys.py::test_a_key_ends_when_it_expires_or_is_revoked[sqlite]",
    ),
    Guard(
        "a key ends when it is revoked", "serving/ledger/keys.py",
        "if self.revoked_at is not None:", "if False:",
        LEDGER + "test_keys.py::test_a_key_ends_when_it_expires_or_is_revoked[sqlite]",
    ),
    Guard(
        "the whole of a key is compared", "serving/credentials.py",
        "return key if same else None", "return key",
        "tests/serving/test_credentials.py::test_a_key_holds_for_whoever_gives_it_whole[sqlite]",
    ),
    Guard(
        "keys that cannot be read hold for a while only", "serving/credentials.py",
        "if blind > BLIND_SECONDS:", "if False:",
        "tests/serving/test_credentials.py::test_a_ledger_that_is_down_leaves_known_keys_for_a_while_and_then_nobody"
        "[sqlite]",
    ),
    Guard(
        "a proxy does not open the service to others", "serving/credentials.py",
        'asked = name == "localhost" or _loopback((name, None))', "asked = True",
        "tests/serving/test_credentials.py::test_open_to_this_machine_is_not_open_to_a_page_or_a_proxy_with_another_name"
        "[sqlite-callsheet.example.test-False]",
    ),
    Guard(
        "a token is signed by the issuer's key", "serving/tokens.py",
        'options={"require": ["exp", "iss", "aud", "sub"]},',
        'options={"require": ["exp", "iss", "aud", "sub"], "verify_signature": False},',
        "tests/serving/test_tokens.py::test_a_signature_that_is_not_the_issuers_refuses_the_token",
    ),
    Guard(
        "each route asks for its scope", "serving/edge.py",
        "if route.scope not in actor.scopes:", "if False:",
        "tests/serving/test_edge.py::test_a_credential_without_the_routes_scope_goes_no_further",
    ),
    Guard(
        "it binds no wider than loopback without a key", "serving/run.py",
        "    if not live:\n        raise UsageError(", "    if False:\n        raise UsageError(",
        "tests/serving/test_guarded.py::test_it_binds_no_wider_than_loopback_without_a_key_that_holds[sqlite]",
    ),
    Guard(
        "a body is read to its cap and no further", "serving/body.py",
        "if size > MAX_BODY:", "if False:",
        "tests/serving/test_body.py::test_a_body_without_a_length_is_read_to_the_cap_and_no_further",
    ),
    Guard(
        "an announced length is held to the cap before anything is read", "serving/body.py",
        "if not length.isdigit() or int(length[:20]) > MAX_BODY:", "if not length.isdigit():",
        "tests/serving/test_body.py::test_a_body_whose_length_is_over_the_cap_is_not_read",
    ),
    Guard(
        "a body that takes too long is given up", "serving/body.py",
        "async with asyncio.timeout(BODY_SECONDS):", "async with asyncio.timeout(60):",
        "tests/serving/test_body.py::test_a_body_that_never_ends_is_given_up",
    ),
    Guard(
        "bodies on their way have a bound in all", "serving/crowd.py",
        "if self.held > self._held:", "if False:",
        "tests/serving/test_turns.py::test_bodies_that_are_still_read_have_a_bound_in_all",
    ),
    Guard(
        "one caller's requests have a bound", "serving/crowd.py",
        "if self._open[who.name] >= self._each:", "if False:",
        "tests/serving/test_turns.py::test_one_caller_leaves_room_for_the_others",
    ),
    Guard(
        "a caller's quota is spent", "serving/crowd.py",
        "        if left < 1:\n", "        if False:\n",
        "tests/serving/test_turns.py::test_a_quota_lets_bursts_by_and_then_so_many_a_second",
    ),
    Guard(
        "callers take turns in rotation", "serving/turns.py",
        "            self._lines.move_to_end(other)\n", "",
        "tests/serving/test_turns.py::test_one_who_floods_does_not_hold_the_others_back",
    ),
    Guard(
        "who is told to wait is told how long", "serving/refusal.py",
        "if error.status in (429, 503):", "if False:",
        "tests/serving/test_edge.py::test_who_is_to_come_back_is_told_when[503]",
    ),
    Guard(
        "work whose caller has left stops", "serving/edge.py",
        "        out.passed.left = True\n        out.passed.deadline.end()", "        out.passed.left = True",
        "tests/serving/test_deadline.py::test_work_whose_caller_has_left_stops", "^TimeoutError",
    ),
    Guard(
        "a message is one line of the log", "serving/logs.py",
        'record.message.replace("\\r", "\\\\r").replace("\\n", "\\\\n")', "record.message",
        "tests/serving/test_logs.py::test_a_message_is_one_line_whatever_is_in_it[]",
    ),
    Guard(
        "a crash is told without its words", "serving/logs.py",
        'return story(ei[1]) if ei[1] else ""', "return super().formatException(ei)",
        "tests/serving/test_logs.py::test_a_crash_is_told_by_place_and_kind_never_by_its_words[]",
    ),
    Guard(
        "the database's details of a row are left out", "serving/ledger/database.py",
        'first = str(said).partition("\\n")[0]', "first = str(said)",
        "tests/serving/test_logs.py::test_what_the_database_says_of_a_row_is_not_repeated[postgresql]",
    ),
    Guard(
        "a spreadsheet runs no cell of an export", "features/formula.py",
        'return pc.replace_substring_regex(values, f"^(\'*[{FIRST}])", r"\'\\1")', "return values",
        LEDGER + "test_export.py::test_decisions_go_along_and_their_cells_are_safe_too[sqlite]",
    ),
]  # fmt: skip

MODELS = [
    Guard(
        "a file of a model has the hash that the manifest lists", "models/store.py",
        "if _digest(content) != digest:", "if False:",
        "tests/models/test_store.py::test_a_damaged_file_is_refused_before_lightgbm[accept.txt-flip]",
    ),
    Guard(
        "the manifest has its own", "models/store.py",
        "if expected is not None and stated != expected:", "if False:",
        "tests/models/test_store.py::test_swapped_added_and_foreign_files_are_refused",
    ),
    Guard(
        "it names plain files", "models/store.py",
        "if not plain or not sound or", "if not sound or",
        "tests/models/test_store.py::test_a_manifest_names_plain_files_only[/etc/passwd]",
    ),
    Guard(
        "trees are of this LightGBM", "models/boosters.py",
        "if not text.startswith(HEADER):", "if False:",
        "tests/serving/test_ladder.py::test_trees_of_another_lightgbm_are_refused_though_every_byte_is_as_it_was_signed"
        "[v5]",
    ),
    Guard(
        "a model scores as when it was made", "models/product.py",
        "product.golden.check(product.contract, product.predict)", "pass",
        "tests/models/test_store.py::test_a_model_that_scores_otherwise_than_when_it_was_made_is_refused_though_its_"
        "hash_is_right[leaves_moved]",
    ),
    Guard(
        "a process of its own tries a model first", "serving/cache.py",
        "        probe(folder, content_hash)\n", "",
        "tests/serving/test_ladder.py::test_a_model_that_would_hold_up_its_callers_does_not_serve",
    ),
    Guard(
        "what a dying trial says may be any bytes", "serving/cache.py",
        'errors="replace", timeout=seconds', "timeout=seconds",
        "tests/serving/test_ladder.py::test_a_loader_that_dies_takes_only_the_trial_with_it", "^UnicodeDecodeError",
    ),
    Guard(
        "the trial has a limit on memory", "serving/probe.py",
        "resource.setrlimit(resource.RLIMIT_AS, (memory, memory))", "pass",
        "tests/serving/test_ladder.py::test_the_trial_is_held_to_its_memory",
    ),
    Guard(
        "a model for other features does not answer", "serving/ladder.py",
        "if model.feature_version != FEATURE_VERSION:", "if False:",
        "tests/serving/test_ladder.py::test_a_model_for_other_features_does_not_serve",
    ),
    Guard(
        "nor one that was judged for another market", "serving/ladder.py",
        "if model.market_fingerprint != config.market_fingerprint:", "if False:",
        "tests/serving/test_ladder.py::test_a_model_judged_for_another_market_does_not_serve",
    ),
    Guard(
        "one under which workers crash is held back", "serving/crashes.py",
        "if last - first <= WITHIN and now < last + HELD:", "if False:",
        "tests/serving/test_crashes.py::test_the_third_crash_within_ten_minutes_holds_a_model_back_for_an_hour",
    ),
    Guard(
        "and is asked about before it is loaded", "serving/cache.py",
        "        self.crashes.check(content_hash)\n", "",
        "tests/serving/test_crashes.py::test_the_ladder_leaves_out_what_crashes",
    ),
    Guard(
        "one that does harm is rolled back", "serving/guard.py",
        "if seen is None or seen.probation.worse is None:", "if True:",
        "tests/serving/test_guard.py::test_a_model_that_does_worse_than_the_held_out_offers_beside_it_is_rolled_back"
        "[sqlite]",
    ),
    Guard(
        "and passes the gate again once it came through probation without any", "training/probation.py",
        "return heard is not None and self.worse is None", "return heard is not None",
        "tests/serving/test_guard_again.py::test_one_that_was_worse_again_did_not_come_through"
        "[than held-out ones-sqlite]",
    ),
    Guard(
        "not where it was held to nothing", "training/probation.py",
        "return heard is not None and self.worse is None", "return self.worse is None",
        "tests/serving/test_guard_again.py::test_one_that_was_held_to_nothing_did_not_come_through_either[sqlite]",
    ),
    Guard(
        "nor before all that it is judged by is settled", "serving/guard.py",
        "return self.over and self.probation.passed", "return self.probation.passed",
        "tests/serving/test_guard_again.py::test_what_was_rolled_back_counts_no_more_once_a_later_release_of_it_came_"
        "through_probation[sqlite]",
    ),
    Guard(
        "which ends when another release comes", "serving/guard.py",
        "until = min(until, after.promoted_at)", "pass",
        "tests/serving/test_guard_again.py::test_each_release_is_judged_by_the_offers_of_its_own_time[sqlite]",
    ),
    Guard(
        "or after ninety days", "serving/ledger/probation.py",
        "OFFERS.c.offered_at >= release.promoted_at, OFFERS.c.offered_at < until",
        "(OFFERS.c.offered_at >= release.promoted_at,)",
        "tests/serving/test_guard_again.py::test_what_was_offered_after_probation_is_no_part_of_it[late-sqlite]",
    ),
]  # fmt: skip

GUARDS = [*ENTRY, *MODELS]
