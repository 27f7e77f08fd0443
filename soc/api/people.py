"""People in bodies: shown as id and name, named by id or as `me`."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from identity.actors import Actor
from identity.models import Person
from lib.errors import Invalid


class PersonOut(serializers.Serializer[Any]):
    """A person."""

    id = serializers.CharField()
    name = serializers.CharField()


def shown(person: Person | None) -> dict[str, str] | None:
    """A person as the API gives one."""
    return {"id": person.ulid, "name": person.name} if person else None


def named(value: str | None, *, by: Actor, pointer: str) -> Person | None:
    """The person that a body names; `Invalid` when there is none of that id."""
    if not value:
        return None
    ulid = by.person_ulid if value == "me" else value
    person = Person.objects.filter(ulid=ulid).first() if ulid else None
    if person is None:
        raise Invalid("There is no such person.", pointer=pointer)
    return person
