"""What the application's role may do on PostgreSQL, where another role owns the tables.

Whoever owns a table may switch its triggers off, and whoever may change its rows needs only to forget one.
So tables belong to the role that migrates, and the role of the running processes gets what they use: never
DDL, and of what is append-only no change and no removal. Given anew after each `migrate`, for tables come
and go. SQLite has no roles; there the triggers of `lib.guards` stand alone.
https://www.postgresql.org/docs/current/ddl-priv.html
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.core import checks
from django.db import connections, transaction
from psycopg import sql

from lib import guards

ROWS = ("SELECT", "INSERT", "UPDATE", "DELETE")
READ_ONLY = frozenset({"django_migrations"})


def give(*, role: str, password: str, using: str = "default") -> None:
    """Let a role work on every table as far as the guards allow; make it where there is none.

    Called as the owner of the tables, any number of times. Raises `django.db.DatabaseError` where the owner
    may not do this.
    """
    connection = connections[using]
    with transaction.atomic(using=using), connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role])
        if cursor.fetchone() is None:
            cursor.execute(_made(role, password))
        tables = connection.introspection.table_names(cursor)
        for statement in _statements(role, tables):
            cursor.execute(statement)


def refused(table: str) -> frozenset[str]:
    """What nobody may do to the rows of a table, whatever they hold: what its unconditional guards refuse."""
    return frozenset(guard.event for guard in guards.registered() if guard.table == table and not guard.when)


def _made(role: str, password: str) -> sql.Composed:
    return sql.SQL(
        "CREATE ROLE {} LOGIN PASSWORD {} NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"
    ).format(sql.Identifier(role), sql.Literal(password))


def _statements(role: str, tables: Iterable[str]) -> Iterable[sql.Composed]:
    name = sql.Identifier(role)
    yield sql.SQL("REVOKE CREATE ON SCHEMA public FROM PUBLIC, {}").format(name)
    yield sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(name)
    yield sql.SQL("REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {}").format(name)
    yield sql.SQL("GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {}").format(name)
    for table in sorted(tables):
        allowed = ("SELECT",) if table in READ_ONLY else [one for one in ROWS if one not in refused(table)]
        words = sql.SQL(", ").join(sql.SQL(word) for word in allowed)
        yield sql.SQL("GRANT {} ON TABLE {} TO {}").format(words, sql.Identifier(table), name)


def excess(using: str = "default") -> list[str]:
    """What the connected role may do to the tables beyond `give`; on SQLite nothing is ever too much."""
    connection = connections[using]
    if connection.vendor != "postgresql":
        return []
    with connection.cursor() as cursor:
        cursor.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
        if cursor.fetchone()[0]:
            return ["it is a superuser"]
        cursor.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
            " AND pg_has_role(current_user, tableowner, 'USAGE') ORDER BY 1"
        )
        found = [f"it owns {table}" for (table,) in cursor.fetchall()]
        for table in sorted({guard.table for guard in guards.registered()}):
            for privilege in sorted(refused(table)):
                cursor.execute(
                    "SELECT has_table_privilege(to_regclass(%s)::oid, %s)", [f'public."{table}"', privilege]
                )
                if cursor.fetchone()[0]:
                    found.append(f"it may {privilege} {table}")
    return found


def check_role(*, databases: Iterable[str] | None = None, **_: Any) -> list[checks.CheckMessage]:
    """W011, in `check --deploy`: the processes' role could switch off what the database keeps from them."""
    return [
        checks.Warning(
            f"the role of the database {alias} may do too much: {found[0]}"
            + (f", and {len(found) - 1} more" if len(found) > 1 else ""),
            hint="give migrate a DATABASE_OWNER_URL of its own (docs/howto/keep-the-ledger.md)",
            id="quell.W011",
        )
        for alias in databases or ()
        if (found := excess(alias))
    ]
