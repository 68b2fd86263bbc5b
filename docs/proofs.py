"""Which test shows which promise, and the twin of it that takes the guarding line out and must see it fail.

`tests/promises/test_proofs.py` holds this against the tests that there are; the page is printed from it.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Proof:
    """A promise (P1), or one of the runs that only a whole system passes; tests and twins as `room/file::test`."""

    id: str
    says: str
    tests: Sequence[str]
    twins: Sequence[str] = ()
    without_twin: str = ""
    """Why there is none."""


PROMISES: Sequence[Proof] = (
    Proof(
        "P1",
        "Nothing is oversold through a reservation",
        (
            "flows/test_sale::test_500_buyers_at_once_get_exactly_50_units_and_the_rest_a_clean_no",
            "inventory/test_sale::test_lines_in_opposite_order_and_one_sku_twice_neither_deadlock_nor_oversell",
            "inventory/test_sale::test_everything_at_once_leaves_every_invariant_whole",
        ),
        (
            "flows/test_sale::test_the_same_without_the_guarding_line_and_the_last_wall_oversells",
            "inventory/test_sale::test_the_same_without_the_guarding_line_is_stopped_by_the_last_wall",
            "inventory/test_sale::test_the_same_without_the_lock_is_found_out",
        ),
    ),
    Proof(
        "P2",
        "No event is lost, none counts twice",
        (
            "events/test_consumer::test_an_event_published_twice_counts_once",
            "events/test_consumer::test_two_members_with_the_same_records_apply_them_once",
            "bus/test_faults::test_a_killed_server_loses_nothing_acknowledged_and_keeps_the_order",
            "bus/test_faults::test_a_frozen_broker_is_waited_for_and_nothing_is_lost",
            "faults/test_import::test_3000_lines_come_through_with_everything_killed_once",
            "faults/test_import::test_the_whole_file_comes_through_on_kafka_with_services_and_broker_killed",
        ),
        (
            "events/test_consumer::test_without_the_memory_of_identities_a_repeat_counts_twice",
            "events/test_consumer::test_without_the_position_fence_the_same_records_count_for_each_member",
        ),
    ),
    Proof(
        "P3",
        "Crash-safe at every step",
        (
            "faults/test_crash_points::test_kills_there_change_nothing",
            "faults/test_crash_points::test_a_kill_there_alone_changes_nothing",
            "events/test_outbox::test_a_relay_that_dies_before_deleting_repeats_and_the_identity_stays",
        ),
        ("events/test_outbox::test_a_relay_that_deletes_first_and_dies_loses_what_it_was_to_publish",),
    ),
    Proof(
        "P4",
        "Every figure can be rebuilt from the journal with the identical result",
        (
            "kpi/test_rebuild::test_a_rebuild_from_the_journal_is_identical",
            "kpi/test_rebuild::test_falsified_planted_and_lost_entities_are_put_right",
        ),
        (
            "kpi/test_rebuild::test_figures_that_depended_on_the_order_of_events_would_be_found",
            "kpi/test_rebuild::test_without_dedup_the_repeats_would_be_found",
        ),
    ),
    Proof(
        "P5",
        "One bad message never blocks a partition; a flood of them parks its store and type",
        (
            "events/test_consumer::test_a_poisonous_event_is_buried_alone_with_its_reason_and_bytes",
            "events/test_consumer::test_bytes_that_are_no_event_are_buried_and_the_rest_flows",
            "events/test_consumer::test_a_store_that_floods_is_parked_and_the_others_are_served",
            "events/test_consumer::test_floods_of_several_stores_stop_the_partition",
            "events/test_consumer::test_what_is_only_away_for_a_moment_is_tried_again_and_buries_nothing",
        ),
        ("events/test_consumer::test_without_the_limit_a_flood_is_never_parked",),
    ),
    Proof(
        "P6",
        "An alert is delivered at least once and is one row; a dead webhook delays nobody else",
        (
            "flows/test_alarm::test_low_stock_is_told_once_beside_a_dead_and_a_hanging_webhook",
            "faults/test_crash_points::test_at_last_every_alarm_was_told_as_one_message",
        ),
        without_twin="the targets count what arrives under which id: a message too many or too few fails both",
    ),
    Proof(
        "P7",
        "Nobody reads or writes without the right key, nor another store's data",
        (
            "promises/test_right_key::test_every_route_wants_its_key",
            "service/test_database::test_a_request_sees_and_writes_its_store_alone",
            "flows/test_many_lives::test_to_another_store_what_exists_looks_like_what_does_not",
        ),
        (
            "promises/test_right_key::test_without_the_check_of_scopes_the_test_above_would_fail",
            "service/test_database::test_without_the_policy_the_stores_would_mix",
        ),
    ),
    Proof(
        "P8",
        "No input makes a 5xx, a hang or a leak",
        (
            "promises/test_hostile_input::test_generated_calls_are_answered",
            "promises/test_hostile_input::test_a_hostile_body_is_refused_wherever_it_goes",
        ),
        ("promises/test_hostile_input::test_what_these_tests_look_for_is_found",),
    ),
    Proof(
        "P9",
        "Overload is refused, not queued, and it recovers by itself",
        (
            "service/test_load::test_500_connections_at_once_are_served",
            "service/test_load::test_ten_times_the_load_is_refused_in_time_and_the_rest_is_served",
            "service/test_overload::test_at_ten_times_the_load_goodput_stays_and_waiting_is_short_once_the_door_is_narrow",
        ),
        ("service/test_overload::test_behind_a_door_that_never_narrows_ten_times_the_load_waits_for_seconds",),
    ),
    Proof(
        "P10",
        "Any POST may be repeated",
        (
            "promises/test_any_post_may_be_repeated::test_an_order_is_placed_paid_and_shipped_once",
            "service/test_repeats::test_parallel_repeats_have_one_effect_and_one_answer",
        ),
        (
            "service/test_repeats::test_without_the_claim_a_repeat_has_a_second_effect",
            "orders/test_placing::test_twin_with_a_new_name_at_each_try_a_retry_holds_twice",
        ),
    ),
    Proof(
        "P11",
        "A restart loses nothing and is quick",
        (
            "service/test_lifecycle::test_sigterm_lets_running_calls_finish_and_ends_with_0",
            "service/test_lifecycle::test_after_sigkill_it_is_ready_again_in_10_s",
            "service/test_lifecycle::test_a_loop_that_ends_takes_the_process_down",
        ),
        without_twin="each test is about one limit that the process itself keeps",
    ),
    Proof(
        "P12",
        "No secret and no personal data in events, logs, alerts, exports or errors",
        (
            "promises/test_no_leaks::test_answers_hold_no_personal_data_and_no_secret",
            "promises/test_no_leaks::test_logs_hold_no_personal_data_no_secret_and_no_key",
            "promises/test_no_leaks::test_no_column_of_the_database_holds_personal_data_or_a_key",
        ),
        (
            "promises/test_no_leaks::test_the_search_finds_what_is_there",
            "service/test_privacy::test_the_redaction_is_what_keeps_them_out",
        ),
    ),
)

RUNS: Sequence[Proof] = (
    Proof(
        "1",
        "One visitor on all 31 days, in any order, is one of the month, live and rebuilt; his earliest event, coming"
        " last, moves his views, and the correction names it",
        (
            "kpi/test_proof::test_one_visitor_on_all_31_days_live_and_rebuilt",
            "kpi/test_proof::test_the_earliest_event_coming_last_moves_closed_buckets_and_is_named",
            "kpi/test_engine::test_one_visitor_on_all_31_days_is_one_visitor_of_the_month",
        ),
        (
            "kpi/test_engine::test_without_the_first_touch_the_earliest_event_coming_last_changes_nothing",
            "kpi/test_engine::test_without_dedup_in_the_visitors_row_a_repeat_counts_twice",
        ),
    ),
    Proof(
        "2",
        "A rebuild compared while traffic flows finds the one falsified row and nothing else",
        (
            "kpi/test_rebuild::test_traffic_goes_on_while_it_is_verified",
            "kpi/test_rebuild::test_a_falsified_figure_is_found_and_repaired_and_nothing_else",
        ),
        ("kpi/test_rebuild::test_without_dedup_the_repeats_would_be_found",),
    ),
    Proof(
        "3",
        "With only the relay of orders stopped no bucket completes; an hour without events does",
        (
            "kpi/test_measuring::test_no_bucket_completes_while_one_topic_is_behind",
            "kpi/test_measuring::test_an_hour_without_events_is_measured_as_zero",
            "alerts/test_missing_data::test_only_the_orders_relay_stops_and_the_missing_topic_is_named",
        ),
        (
            "kpi/test_measuring::test_judged_by_traffic_alone_a_bucket_completes_without_its_orders",
            "kpi/test_measuring::test_without_the_5_minutes_an_hour_is_measured_too_early",
        ),
    ),
    Proof(
        "4",
        "`as_of` gives the same bytes before and after a late event and a rebuild; causes are events of the journal",
        (
            "kpi/test_proof::test_as_of_is_the_same_bytes_before_and_after_a_late_event_and_a_rebuild",
            "kpi/test_proof::test_causes_are_events_of_the_journal",
        ),
        ("kpi/test_proof::test_without_taking_back_later_changes_the_past_would_move",),
    ),
    Proof(
        "5",
        "Two inventory processes, lane, consumer, expiry and counts at once, callers who hang up: proved by the events",
        ("faults/test_two_inventories::test_whatever_happens_at_once_the_events_alone_add_up",),
        ("faults/test_two_inventories::test_without_the_guarding_line_and_the_last_wall_the_events_tell_of_it",),
    ),
    Proof(
        "6",
        "kill -9 of orders between hold and commit, of inventory between commit and answer: one order or none",
        (
            "orders/test_crashes::test_an_order_is_placed_once_whatever_the_crash",
            "inventory/test_crashes::test_a_reservation_survives_every_crash_point",
            "faults/test_limits::test_a_retry_after_the_holds_limit_is_one_order_under_a_new_hold",
            "faults/test_limits::test_without_a_retry_the_limit_gives_the_units_back",
        ),
        ("orders/test_placing::test_twin_with_a_new_name_at_each_try_a_retry_holds_twice",),
    ),
    Proof(
        "7",
        "A frozen consumer that wakes after the hand-over does no harm, on both buses",
        ("bus/test_groups::test_a_frozen_member_that_wakes_after_the_hand_over_does_no_harm",),
        ("bus/test_groups::test_a_frozen_member_that_wakes_after_the_hand_over_does_no_harm",),
    ),
    Proof(
        "8",
        "An alert that HTTP input alone produced reaches a target that checks the signature",
        ("flows/test_alarm::test_low_stock_is_told_once_beside_a_dead_and_a_hanging_webhook",),
        without_twin="the target answers 401 to what is not signed",
    ),
    Proof(
        "9",
        "Importers and demo hold no SQL and no table name",
        ("architecture/test_rules::test_importers_and_demo_hold_no_sql_and_no_table_name",),
        ("architecture/test_rules::test_each_rule_can_fail",),
    ),
)


def page() -> str:
    """Both tables."""
    return (
        "What is promised is on [the page of promises](promises.md). A *twin* is the same run with one guarding line"
        " taken out: it must see the promise broken. Paths are under `tests`; where tests are parameterised, the twin"
        f" may be one of the parameters.\n\n## Promises\n\n{_table(PROMISES)}\n\n"
        f"## Runs that only a whole system passes\n\n{_table(RUNS)}"
    )


def _table(proofs: Sequence[Proof]) -> str:
    rows = [
        f"| {proof.id} | {proof.says} | {_listed(proof.tests)} | {_listed(proof.twins) or f'({proof.without_twin})'} |"
        for proof in proofs
    ]
    return "\n".join(["| | what | test | twin |", "|---|---|---|---|", *rows])


def _listed(tests: Sequence[str]) -> str:
    return "<br>".join(f"`{test}`" for test in tests)
