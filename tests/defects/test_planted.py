"""A suite that finds nothing must also find planted defects."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest

from tests.defects.plants import PLANTS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
CONTRACT, IN_FORCE = "tests/containment/test_contract.py", "tests/containment/test_in_force.py"
MISUSE = "tests/containment/test_misuse.py"
MATRIX = "tests/containment/test_matrix.py::test_a_sample_of_the_matrix"

FOUND_BY = {
    "a-look-skipped": f"{CONTRACT}::test_what_is_already_so_is_neither_sent_nor_undone",
    "intent-written-after-the-call": f"{MATRIX}[iam.deactivate-access-key]",
    "a-lock-not-taken": f"{CONTRACT}::test_a_second_action_on_the_same_thing_names_the_first",
    "a-trigger-dropped": "tests/audit",
    "the-hash-not-checked": f"{CONTRACT}::test_a_plan_changed_in_the_database_is_not_carried_out",
    "a-document-lock-not-taken": f"{CONTRACT}::test_a_document_is_left_alone_while_another_edits_it",
    "the-fence-ignored": f"{IN_FORCE}::test_a_stale_worker_writes_nothing",
    "settle-ignored": f"{MATRIX}[ec2.snapshot-volumes]",
    "drift-not-checked": f"{CONTRACT}::test_an_edit_between_approval_and_start_is_drift_with_the_new_plan",
    "verified-without-a-look": f"{IN_FORCE}::test_a_change_that_is_taken_back_at_once_is_never_verified",
    "undo-without-guards": f"{CONTRACT}::test_a_change_of_ours_by_someone_else_is_a_conflict",
    "an-undo-dropped": f"{CONTRACT}::test_apply_then_undo_restores_the_first_state[ec2.protect-instance]",
    "left-open": f"{CONTRACT}::test_a_refusal_of_each_call_in_turn_leaves_nothing_open[ec2.isolate-instance]",
    "audit-forgotten": f"{IN_FORCE}::test_every_change_of_status_is_in_the_ledger",
    "a-session-without-a-policy": f"{CONTRACT}::test_every_session_policy_fits[iam.deactivate-access-key]",
    "a-session-kept-over-a-wait": "tests/containment/test_sessions.py::test_no_session_is_kept_over_a_pause",
    "any-call-counted-as-ours": f"{MISUSE}::test_the_names_of_a_real_action_do_not_cover_another_call",
    "a-role-open-to-all-called-sound": (
        "tests/containment/test_role_stacks.py::test_a_role_that_asks_for_no_external_id_is_named"
    ),
}
REQUIRED = list(FOUND_BY)[:5]


def outcome(*selection: str, plant: str = "") -> subprocess.CompletedProcess[str]:
    """Run a selection of the suite in a process of its own, with a defect planted if one is named."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    if plant:
        command += ["-p", "tests.defects.plants"]
    return subprocess.run(
        [*command, *selection],
        cwd=ROOT,
        env={**_apart(), "QUELL_PLANT": plant},
        capture_output=True,
        text=True,
        check=False,
    )


def _apart() -> dict[str, str]:
    """Another data directory and database: this process's own may be in use, and would be dropped."""
    ours = {**os.environ, "QUELL_TEST_REPORT": ""}
    ours.pop("QUELL_DATA", None)
    if ours.get("DATABASE_URL", "").startswith("postgres"):
        parts = urlsplit(ours["DATABASE_URL"])
        ours["DATABASE_URL"] = urlunsplit(parts._replace(path="/planted"))
    return ours


@pytest.mark.parametrize(
    "plant", [pytest.param(p, marks=() if p in REQUIRED else pytest.mark.exhaustive) for p in FOUND_BY]
)
def test_a_planted_defect_is_found(plant: str) -> None:
    told = outcome(FOUND_BY[plant], plant=plant)

    assert told.returncode == 1, told.stdout[-3000:] + told.stderr[-2000:]
    assert "failed" in told.stdout.splitlines()[-1], told.stdout[-3000:]


@pytest.mark.exhaustive
def test_the_same_tests_pass_without_a_defect() -> None:
    told = outcome(*FOUND_BY.values())

    assert told.returncode == 0, told.stdout[-3000:] + told.stderr[-2000:]


@pytest.mark.fast
def test_every_plant_has_a_test_that_finds_it() -> None:
    assert set(FOUND_BY) == set(PLANTS)
