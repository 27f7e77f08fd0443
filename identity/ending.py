"""Sessions end when access ends, whoever ends it and from where: page, single sign-on, or a shell."""

from __future__ import annotations

from typing import Any

from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver

from identity import sessions
from identity.actors import system
from identity.models import Membership, User
from lib import clock

BY = system("sign-in")


@receiver(post_save, sender=User, dispatch_uid="quell.login-saved")
def login_saved(instance: User, *, created: bool, **_: Any) -> None:
    """A login that may no longer sign in is signed out."""
    if not created and not instance.is_active:
        sessions.end_all(user=instance, why="deactivated", by=BY, at=clock.now())


@receiver(post_delete, sender=Membership, dispatch_uid="quell.membership-deleted")
def membership_deleted(instance: Membership, **_: Any) -> None:
    """A person without any membership left is signed out."""
    if not instance.person.memberships.exists():
        sessions.end_all_of(instance.person, why="no-membership", by=BY, at=clock.now())
