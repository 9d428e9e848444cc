"""The original's forty defects, each with tests that fail if it comes back: here is where they are.

That they are there, and that they are run, is what is tested; what they say is for whoever reads them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Dict, Set, Tuple

import pytest

ROOT = Path(__file__).parents[3]
PYTHON = ("crates/python/tests", "tests/referees")

# Number, what was wrong, and the tests. Those that begin with `test_` are Python's.
DEFECTS: Dict[int, Tuple[str, str]] = {
    1: (
        "nothing installs XnodeOS",
        "a_deploy_ends_with_a_claimed_healthy_xnode create_hands_over_user_data "
        "test_defect_1_a_server_without_an_owner_is_said_to_be_no_xnode test_xnode_lifecycle_and_watch_fleet",
    ),
    2: (
        "a POST is sent again",
        "test_what_may_have_happened_is_not_sent_again a_502_after_the_effect_is_not_sent_twice a_lost_reply_is_adopted_not_doubled",
    ),
    3: ("errors lose their class and status", "test_a_status_is_an_error_of_its_class"),
    4: (
        "what was ordered is lost from the inventory",
        "test_defect_4_what_deploy_returns_can_be_added a_deploy_ends_with_one_server_and_one_record",
    ),
    5: ("the import needs boto3", "test_defect_5_nothing_needs_boto3"),
    6: (
        "an error is an empty list",
        "test_without_a_key_an_error_is_no_empty_list test_defect_6_a_key_that_is_refused_is_no_empty_list "
        "test_defect_6_a_provider_that_fails_is_an_error_and_no_shorter_list list_fails_whole",
    ),
    7: ("AWS's list is None", "test_a_server_lives_and_ends an_instance_lives_and_ends"),
    8: (
        "AWS's region and image do not count",
        "test_defect_8_regions_and_images_of_aws_are_those_that_were_asked_for_or_refused",
    ),
    9: (
        "Equinix Metal, Linode and Scaleway only pretend",
        "test_a_server_lives_and_ends test_a_missing_server_is_an_error_or_false a_linode_lives_and_ends",
    ),
    10: (
        "Hivelocity's calls and products do not exist",
        "test_a_server_lives_and_ends test_what_cannot_be_ordered_is_said_before_anything_is_sent",
    ),
    11: (
        "Vultr's metal is ordered as an instance",
        "test_defect_11_bare_metal_of_vultr_is_bare_metal list_shows_every_kind",
    ),
    12: ("images are at the end of their life", "test_defect_12_the_system_is_one_that_is_still_kept_up"),
    13: ("a list ends after one page", "list_shows_every_page two_thousand_servers_are_listed_whole"),
    14: (
        "nothing is waited for",
        "test_power_and_waiting what_is_watched_is_ready_when_the_judge_says_so",
    ),
    15: ("prices are written down, and wrong", "test_live_prices every_template_leads_to_its_plan_or_says_why_not"),
    16: (
        "regions and stock are not checked",
        "test_what_cannot_be_ordered_is_said_before_anything_is_sent regions_of_then_are_mapped_or_explained "
        "create_refuses_an_unknown_region no_capacity_tries_the_next_placement",
    ),
    17: ("a region that is None goes out as null", "test_a_deploy_returns_once_it_is_accepted"),
    18: (
        "anybody's server is touched, and accepted means done",
        "test_a_server_of_somebody_else_is_left_alone test_power_and_waiting power_ends_in_the_state_that_was_asked_for "
        "delete_ends_in_none",
    ),
    19: (
        "keys lie open, and looking makes a file",
        "test_keys_come_from_argument_file_and_environment test_defect_19_looking_writes_no_file "
        "a_stored_key_lies_in_one_private_file_alone the_originals_keys_are_read_as_they_stand_and_mended_on_save",
    ),
    20: (
        "bodies go into the log, and importing sets logging up",
        "test_defect_20_no_key_and_no_body_goes_into_a_log test_defect_20_importing_the_providers_leaves_logging_alone "
        "test_defect_20_importing_leaves_logging_alone canaries_reach_no_sink",
    ),
    21: (
        "validate_credentials asks nobody",
        "test_defect_21_the_vendor_says_whether_a_key_is_good verify_refuses_a_wrong_key",
    ),
    22: ("what runs under another word costs nothing", "test_defect_22_what_runs_or_is_being_made_costs"),
    23: ("the statistics lack keys", "test_defect_23_the_keys_that_the_command_line_needs_are_there"),
    24: ("a null region ends the report", "test_defect_24_a_null_region_is_reported"),
    25: (
        "the inventory is not atomic, not locked, and never set beside the clouds",
        "test_defect_25_a_crash_leaves_the_old_file_or_the_new_one test_defect_25_processes_lose_nothing_of_each_others "
        "test_defect_25_ids_are_each_providers_own test_defect_25_it_can_be_set_beside_what_the_providers_say",
    ),
    26: (
        "stopped servers are free",
        "test_defect_26_what_stopped_servers_may_cost_is_told a_stopped_server_costs_by_its_rule_and_its_disk_always",
    ),
    27: (
        "the monitor calls what does not exist",
        "test_questions test_xnode_lifecycle_and_watch_fleet the_originals_commands_do_what_they_say_or_say_what_does",
    ),
    28: (
        "what was seen is not saved, or reloads as text",
        "test_defect_28_what_was_seen_is_there_after_a_restart test_defect_28_the_originals_own_files_are_read",
    ),
    29: (
        "alerts do not go out, end or get worse",
        "test_defect_29_a_webhook_gets_the_alert_as_json test_defect_29_alerts_end_by_themselves "
        "test_defect_29_alerts_get_worse_and_better test_defect_29_restarting_is_done_when_it_is_asked_for",
    ),
    30: ("a good xNode is degraded for want of SSH", "test_defect_30_a_good_xnode_is_healthy_though_it_has_no_ssh"),
    31: (
        "a missing program or an outage here is a fleet that is down",
        "test_defect_31_a_program_that_is_missing_is_no_node_that_is_down "
        "test_defect_31_when_nobody_answers_it_is_this_machine_that_is_doubted an_own_outage_is_told_from_the_fleets",
    ),
    32: (
        "the generator writes invalid Nix and pastes what it is given",
        "test_defect_32_each_option_is_defined_once test_defect_32_whatever_is_in_a_profile_it_stays_a_text",
    ),
    33: (
        "XnodeManager speaks to an API that never was",
        "test_defect_33_tunnels_say_where_to_go_instead test_defect_33_nothing_speaks_to_an_api_that_never_was",
    ),
    34: ("configuring destroys settings", "test_defect_34_settings_of_others_stay"),
    35: (
        "stubs print success",
        "test_defect_35_what_is_refused_is_no_success the_originals_commands_do_what_they_say_or_say_what_does",
    ),
    36: ("the program runs before it is whole", "test_the_console_script_is_the_program"),
    37: ("a deploy is a pretence, with the key in argv", "every_provider_deploys a_key_in_argv_is_not_accepted"),
    38: (
        "secrets end in the instance's metadata",
        "a_plain_node_gets_owner_and_version_and_nothing_else passwords_need_the_risk_accepted",
    ),
    39: (
        "payloads, retries, pages, commands and inventory are not tested",
        "every_provider_has_all_its_pieces claims_without_a_guard_are_noticed the_simulator_says_of_every_dialect_what_it_is_not",
    ),
    40: (
        "no idempotency key, budget, dry run, limit or cancel; options that do nothing",
        "one_idempotency_key_is_one_deploy many_orders_at_once_never_pass_a_limit_together a_dry_run_orders_nothing "
        "ctrl_c_leaves_a_deploy_resumable_and_says_how test_64_threads_deploy_at_once_and_none_twice "
        "test_ctrl_c_gives_back_what_was_begun",
    ),
}


def _tests_of_python() -> Set[str]:
    files = (file for folder in PYTHON for file in (ROOT / folder).glob("test_*.py"))
    return {name for file in files for name in re.findall(r"^def (test_\w+)\(", file.read_text(), re.MULTILINE)}


def _tests_of_rust() -> Set[str]:
    names: Set[str] = set()
    for file in [*ROOT.glob("crates/*/tests/**/*.rs"), *ROOT.glob("crates/*/src/**/*.rs")]:
        text = file.read_text()
        # Its attribute says so, ...
        names.update(re.findall(r"#\[(?:tokio::)?test[^\]]*\]\s+(?:async )?fn (\w+)\(", text))
        # ... or a list of them by name does, where each is run several times.
        for block in re.findall(r"^\w+! \{\n(.*?)^\}", text, re.MULTILINE | re.DOTALL):
            names.update(re.findall(r"^    (\w+),?$", block, re.MULTILINE))
    return names


@pytest.fixture(scope="module")
def tests() -> Set[str]:
    return _tests_of_python() | _tests_of_rust()


def test_all_forty_are_here() -> None:
    assert list(DEFECTS) == list(range(1, 41))


@pytest.mark.parametrize("number", DEFECTS)
def test_a_defect_has_its_tests(number: int, tests: Set[str]) -> None:
    _, names = DEFECTS[number]
    assert names.split()
    assert set(names.split()) <= tests


def test_a_test_that_is_named_after_a_defect_is_of_one() -> None:
    numbered = {int(number) for name in _tests_of_python() for number in re.findall(r"^test_defect_(\d+)_", name)}
    assert numbered and numbered <= set(DEFECTS)
