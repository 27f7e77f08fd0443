"""The factories make rows that the product itself would make."""

from __future__ import annotations

import pytest

from audit import record
from cases.access import alerts_for, incidents_for
from cases.models import Milestone
from cases.words import MilestoneKind
from identity.actors import Actor
from lib import clock
from tests import make

pytestmark = [pytest.mark.fast, pytest.mark.django_db]


def test_rows_belong_to_the_team_and_not_to_the_outsider(analyst: Actor, outsider: Actor) -> None:
    at = clock.now()
    incident = make.incident(milestones={MilestoneKind.DETECTED: at}, owner=analyst)
    alert = make.alert(incident=incident)
    assert incident.detected_at == at
    assert Milestone.objects.get(incident=incident).kind == MilestoneKind.DETECTED
    assert list(alerts_for(analyst)) == [alert]
    assert list(incidents_for(analyst)) == [incident]
    assert not alerts_for(outsider).exists()
    assert not incidents_for(outsider).exists()
    assert record.verify() is None


def test_a_restricted_incident_is_seen_by_those_named(analyst: Actor, lead: Actor) -> None:
    incident = make.incident(named=[lead])
    assert list(incidents_for(lead)) == [incident]
    assert not incidents_for(analyst).exists()
