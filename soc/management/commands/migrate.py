"""Django's `migrate`, as the owner of the tables where `DATABASE_OWNER_URL` names one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from django.core.management.commands import migrate
from django.db import DEFAULT_DB_ALIAS, connections

from lib import grants


class Command(migrate.Command):
    help = (
        f"{migrate.Command.help} With DATABASE_OWNER_URL: as that role, and DATABASE_URL's gets its rights."
    )

    def execute(self, *args: Any, **options: Any) -> str | None:
        """With the checks before it, which look at the database too."""
        owner = settings.QUELL_DATABASE_OWNER
        if owner is None or options["database"] != DEFAULT_DB_ALIAS:
            return super().execute(*args, **options)
        application = dict(connections[DEFAULT_DB_ALIAS].settings_dict)
        self._demand_one_database(owner, application)
        with _as(owner):
            said = super().execute(*args, **options)
            if options["plan"] or options["check_unapplied"]:  # asked about, and nothing is to change
                return said
            grants.give(role=str(application["USER"]), password=str(application["PASSWORD"]))
        return said

    def _demand_one_database(self, owner: dict[str, Any], application: dict[str, Any]) -> None:
        for name in ("ENGINE", "NAME", "HOST", "PORT"):
            if owner[name] != application[name]:
                raise CommandError("DATABASE_OWNER_URL and DATABASE_URL name two databases")
        if owner["USER"] == application["USER"]:
            raise CommandError("DATABASE_OWNER_URL and DATABASE_URL have the same role")


@contextmanager
def _as(owner: dict[str, Any]) -> Iterator[None]:
    """Connect as the owner for as long as this lasts."""
    connection = connections[DEFAULT_DB_ALIAS]
    before = {name: connection.settings_dict[name] for name in ("USER", "PASSWORD", "OPTIONS")}
    connection.close()
    connection.settings_dict.update({name: owner[name] for name in before})
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict.update(before)
