"""Which team gets what belongs to no known account, where nobody is signed in who could say so."""

from __future__ import annotations

from django.db.models import Count

from identity.models import Team
from lib.errors import NotFound


def home(slug: str = "") -> Team:
    """The team named; else the one with the most accounts, the oldest of several. `NotFound` without one."""
    if slug:
        team = Team.objects.filter(slug=slug).first()
    else:
        team = Team.objects.annotate(size=Count("accounts")).order_by("-size", "pk").first()
    if team is None:
        raise NotFound(f"there is no team {slug!r}" if slug else "there is no team yet")
    return team
