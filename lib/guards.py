"""Guard triggers: rules that the database itself keeps, on both engines.

Every guard of the product is registered here and installed after each `migrate`, because SQLite
silently drops a table's triggers when Django rebuilds the table. `missing()` names those that are
not in the database: `/readyz` fails when there is one, and so does `check --fail-level WARNING`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.core import checks
from django.db import DEFAULT_DB_ALIAS, connections


@dataclass(frozen=True, kw_only=True)
class Guard:
    """One trigger: refuse `event` on `table`, always or when `when` holds.

    `when` is an SQL condition over OLD and NEW (sub-queries allowed) that both engines understand.
    SQLite has no TRUNCATE; such a guard exists on PostgreSQL only.
    """

    table: str
    event: str
    says: str
    when: str = ""
    name: str = ""

    @property
    def trigger(self) -> str:
        """The trigger's name in the database, at most 63 characters."""
        return f"guard_{self.table}_{self.name or self.event.lower()}"[:63]


_guards: dict[str, Guard] = {}


def register(*guards: Guard) -> None:
    """Make guards known; the same name twice must be the same guard."""
    for guard in guards:
        if _guards.setdefault(guard.trigger, guard) != guard:
            raise ValueError(f"two different guards are called {guard.trigger}")


def append_only(table: str) -> tuple[Guard, Guard, Guard]:
    """Guards that let rows be added to a table and nothing else."""
    return (
        Guard(table=table, event="UPDATE", says=f"{table} is append-only"),
        Guard(table=table, event="DELETE", says=f"{table} is append-only"),
        Guard(table=table, event="TRUNCATE", says=f"{table} is append-only"),
    )


def registered() -> Iterable[Guard]:
    """All guards, by trigger name."""
    return [guard for _, guard in sorted(_guards.items())]


def install(using: str = DEFAULT_DB_ALIAS) -> None:
    """(Re)create every guard whose table exists. May be called any number of times."""
    connection = connections[using]
    tables = set(connection.introspection.table_names())
    with connection.cursor() as cursor:
        for guard in registered():
            if guard.table not in tables or not _applies(connection.vendor, guard):
                continue
            for statement in _statements(connection.vendor, guard):
                cursor.execute(statement)


def drop(using: str = DEFAULT_DB_ALIAS) -> None:
    """Remove every guard. Only the tests' own clean-up between cases has a reason to."""
    connection = connections[using]
    tables = set(connection.introspection.table_names())
    with connection.cursor() as cursor:
        for guard in registered():
            if guard.table in tables and _applies(connection.vendor, guard):
                cursor.execute(_drop(connection.vendor, guard))


def missing(using: str = DEFAULT_DB_ALIAS) -> list[str]:
    """Trigger names that should be in the database and are not (or are switched off)."""
    connection = connections[using]
    tables = set(connection.introspection.table_names())
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgenabled IN ('O', 'A')")
        else:
            cursor.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        present = {row[0] for row in cursor.fetchall()}
    return [
        guard.trigger
        for guard in registered()
        if guard.table in tables and _applies(connection.vendor, guard) and guard.trigger not in present
    ]


def _applies(vendor: str, guard: Guard) -> bool:
    return vendor == "postgresql" or guard.event != "TRUNCATE"


def _drop(vendor: str, guard: Guard) -> str:
    on = f' ON "{guard.table}"' if vendor == "postgresql" else ""
    return f'DROP TRIGGER IF EXISTS "{guard.trigger}"{on}'


def _statements(vendor: str, guard: Guard) -> list[str]:
    says = f"guard: {guard.says}".replace("'", "''")
    if vendor != "postgresql":
        when = f"WHEN {guard.when}" if guard.when else ""
        create = (
            f'CREATE TRIGGER "{guard.trigger}" BEFORE {guard.event} ON "{guard.table}" '
            f"FOR EACH ROW {when} BEGIN SELECT RAISE(ABORT, '{says}'); END"
        )
        return [_drop(vendor, guard), create]
    # A trigger's own WHEN may not hold a sub-query in PostgreSQL, so the condition sits in the function.
    level = "STATEMENT" if guard.event == "TRUNCATE" else "ROW"
    returned = {"DELETE": "OLD", "TRUNCATE": "NULL"}.get(guard.event, "NEW")
    function = (
        f'CREATE OR REPLACE FUNCTION "{guard.trigger}"() RETURNS trigger LANGUAGE plpgsql AS '
        f"$guard$ BEGIN IF {guard.when or 'TRUE'} THEN "
        f"RAISE EXCEPTION '%', '{says}' USING ERRCODE = 'check_violation'; "
        f"END IF; RETURN {returned}; END $guard$"
    )
    create = (
        f'CREATE TRIGGER "{guard.trigger}" BEFORE {guard.event} ON "{guard.table}" '
        f'FOR EACH {level} EXECUTE FUNCTION "{guard.trigger}"()'
    )
    return [function, _drop(vendor, guard), create]


def drop_before_migrate(*, using: str, plan: Iterable[Any] = (), **_: Any) -> None:
    """Receiver of `pre_migrate`: SQLite cannot rebuild a table that another table's trigger asks about.

    What is in the database goes, registered or not; `install_after_migrate` puts back what should be there.
    https://www.sqlite.org/lang_altertable.html#altertabrename
    """
    connection = connections[using]
    if connection.vendor != "sqlite" or not list(plan):
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'guard\\_%' ESCAPE '\\'"
        )
        for (name,) in cursor.fetchall():
            cursor.execute(f'DROP TRIGGER "{name}"')


def install_after_migrate(*, using: str, **_: Any) -> None:
    """Receiver of `post_migrate`."""
    install(using)


@checks.register(checks.Tags.database)
def check_guards(*, databases: Iterable[str] | None = None, **_: Any) -> list[checks.CheckMessage]:
    """W010: a guard trigger is missing, so that the database no longer refuses what it must.

    A warning and not an error, as `migrate`, which puts the triggers back, refuses to start on errors.
    """
    return [
        checks.Warning(
            f"the guard trigger {name} is missing from the database {alias}",
            hint="run: ./quell manage migrate",
            id="quell.W010",
        )
        for alias in databases or ()
        for name in missing(alias)
    ]
