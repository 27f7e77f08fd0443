"""What a rule would have done: counts, limits, and only from what whoever asks may read."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from cases import previewing
from cases.models import Alert
from identity.actors import Actor
from identity.models import Role
from lib import clock
from lib.errors import Forbidden
from tests import make

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

KEY = [{"type": "access_key", "id": "AKIAQUELLTESTKEY0001", "arn": "", "role": "target"}]


def look(by: Actor, **values: Any) -> previewing.Preview:
    return previewing.preview(rule=make.rule(**values), by=by, at=clock.now())


def test_each_effect_says_what_it_would_have_done(lead: Actor) -> None:
    for _ in range(5):
        make.alert(resources=KEY)
    make.alert(resources=KEY, severity=95)
    make.alert(resources=KEY, is_sample=True)
    red = make.team("red")
    end = clock.now() + timedelta(days=3)

    opening = look(lead)
    assert (opening.fitting, opening.opened, opening.joined, opening.protected) == (7, 1, 5, 1)
    suppressing = look(lead, effect="suppress", reason="known", expires_at=end)
    assert (suppressing.suppressed, suppressing.protected) == (6, 1)
    assert look(lead, effect="route", route_to=red).moved == 7
    adjusting = look(lead, effect="adjust", shift=-20, max_severity=89)
    assert (adjusting.fitting, adjusting.changed) == (6, 6)


def test_says_how_those_were_closed_and_on_which_days(lead: Actor) -> None:
    now = clock.now()
    make.alert(status="dismissed", verdict="benign", dismissed_at=now)
    make.alert(incident=make.incident(status="closed", closed_at=now, verdict="true_positive"))
    make.alert(at=now - timedelta(days=3))
    make.alert(at=now - timedelta(days=40))

    found = look(lead)

    assert (found.fitting, found.open, found.true_positives) == (3, 1, 1)
    assert found.verdicts == {"benign": 1, "true_positive": 1}
    assert sum(count for _, count in found.days) == 3
    assert len(found.days) == 31
    assert not Alert.objects.exclude(context={}).exists()


def test_counts_only_what_one_may_read(lead: Actor) -> None:
    make.account()
    make.account("444455556666")
    make.alert()
    make.alert(account="444455556666")
    make.alert(team="red")
    make.alert(incident=make.incident(named=[make.person(Role.LEAD)]), title="Secret")
    limited = make.person(Role.LEAD, accounts=[make.ACCOUNT])

    assert look(lead).fitting == 2
    assert look(limited).fitting == 1
    assert "Secret" not in [alert.title for alert in look(lead).examples]
    with pytest.raises(Forbidden):
        look(make.person(Role.LEAD, team="red"))


def test_stops_at_its_limit_and_says_so(lead: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(previewing, "MOST_SCANNED", 25)
    monkeypatch.setattr(previewing, "CHUNK", 10)
    for _ in range(30):
        make.alert()
    found = look(lead)
    assert (found.scanned, found.fitting, found.is_cut, len(found.examples)) == (25, 25, True, 20)

    Alert.objects.filter(pk__in=[one.pk for one in Alert.objects.order_by("pk")[:5]]).delete()
    assert look(lead).is_cut is False
