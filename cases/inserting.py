"""PostgreSQL's way to store new alerts with their raw copies in one statement, however many they are.

The rows travel as one JSON parameter each for alerts and copies, so a thousand cost one round trip and no
statement of a thousand rows has to be spelled and parsed. Which alerts there are already the unique keys
decide: those are left out, with their copies, and the caller goes on with them in the general way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache
from typing import Any

import orjson
import psycopg
from django.db import connection, models
from django.db.models.base import ModelState
from psycopg.sql import SQL, Composable, Composed, Identifier

from cases import merging
from cases.drafts import Draft
from cases.models import Alert, RawDocument
from lib import canonical, ids

Values = dict[str, Any]


def is_possible() -> bool:
    """Whether this database has what it takes; where not, rows are inserted by Django."""
    return connection.vendor == "postgresql"


def insert(
    drafts: Sequence[Draft], *, at: datetime, beside: Callable[[list[str]], models.Model] | None = None
) -> dict[int, Alert]:
    """Store the drafts that are new; their alerts by the drafts' numbers.

    In the caller's transaction; outside one it commits, and is all there or not at all. `beside` makes a
    further row of the alerts' public ids, stored when at least one alert was. No two drafts may share an
    id or a finding.
    """
    rows = [_row_of(draft, at=at) for draft in drafts]
    copies = [_copy_of(draft, row["ulid"], at=at) for draft, row in zip(drafts, rows, strict=True)]
    values: list[object] = [_spelled(rows), _spelled(copies)]
    further = beside([row["ulid"] for row in rows]) if beside is not None else None
    if further is not None:
        values.append(_spelled([_values_of(further)]))
    statement = _statement(None if further is None else type(further))
    with connection.wrap_database_errors:
        connection.ensure_connection()
        raw: psycopg.Connection[Any] = connection.connection
        raw.prepare_threshold = 1
        # psycopg's own cursor, not Django's: the statement is parsed and planned once for a connection.
        with psycopg.Cursor(raw) as cursor:
            stored: dict[str, int] = {ulid: pk for pk, ulid in cursor.execute(statement, values).fetchall()}
    return {
        draft.number: _alert(stored[row["ulid"]], row)
        for draft, row in zip(drafts, rows, strict=True)
        if row["ulid"] in stored
    }


def _row_of(draft: Draft, *, at: datetime) -> Values:
    return {
        **_usual(),
        **merging.columns_of(draft.draft, at=at),
        "ulid": ids.ulid(),
        "finding_key": draft.finding_key,
        "fingerprint": canonical.sha256(list(draft.draft.fingerprint)),
        "team_id": draft.team_id,
    }


def _copy_of(draft: Draft, ulid: str, *, at: datetime) -> Values:
    return {
        "ulid": ulid,
        "digest": draft.digest,
        "body": draft.body,
        "source": draft.read_as,
        "door": draft.door,
        "received_at": at,
    }


def _values_of(row: models.Model) -> Values:
    return {str(field.column): getattr(row, field.attname) for field in _fields(type(row))}


def _alert(pk: int, row: Values) -> Alert:
    """The stored alert. Django's way through every column's setter takes as long as all the rest of a row."""
    alert, state = Alert.__new__(Alert), ModelState()
    state.adding, state.db = False, connection.alias
    vars(alert).update(_state=state, id=pk, **row)
    return alert


def _usual() -> Values:
    """What an alert's columns hold that no draft decides; lists and objects anew for each."""
    plain, made = _defaults()
    return {**plain, **{name: make() for name, make in made}}


@cache
def _defaults() -> tuple[Values, tuple[tuple[str, Callable[[], Any]], ...]]:
    """Defaults that are the same for every row, and those that are made for each."""
    fields = [field for field in _fields(Alert) if field.attname != "ulid"]  # drawn with the row
    made = {
        field.attname: field.default for field in fields if field.has_default() and callable(field.default)
    }
    plain = {field.attname: field.get_default() for field in fields if field.attname not in made}
    return plain, tuple(made.items())


def _spelled(rows: Sequence[Values]) -> str:
    return orjson.dumps(rows).decode()


# --- the statement -------------------------------------------------------------------------------------


@cache
def _statement(beside: type[models.Model] | None) -> bytes:
    """The alerts that are not there yet; copies and what stands beside follow from those alone."""
    copied = [field for field in _fields(RawDocument) if field.column != "alert_id"]
    parts: list[Composable] = [
        SQL(
            "alert AS (INSERT INTO {table} ({names}) SELECT {names}"
            " FROM jsonb_to_recordset(%s::jsonb) AS given({types})"
            " ON CONFLICT DO NOTHING RETURNING id, ulid)"
        ).format(table=_table(Alert), names=_names(_fields(Alert)), types=_types(_fields(Alert))),
        SQL(
            "copy AS (INSERT INTO {table} (alert_id, {names}) SELECT alert.id, {given}"
            " FROM jsonb_to_recordset(%s::jsonb) AS given(ulid text, {types}) JOIN alert USING (ulid))"
        ).format(
            table=_table(RawDocument),
            names=_names(copied),
            given=SQL(", ").join([Identifier("given", str(field.column)) for field in copied]),
            types=_types(copied),
        ),
    ]
    if beside is not None:
        fields = _fields(beside)
        parts.append(
            SQL(
                "beside AS (INSERT INTO {table} ({names}) SELECT {names}"
                " FROM jsonb_to_recordset(%s::jsonb) AS given({types}) WHERE EXISTS (SELECT FROM alert))"
            ).format(table=_table(beside), names=_names(fields), types=_types(fields))
        )
    return SQL("WITH {} SELECT id, ulid FROM alert").format(SQL(", ").join(parts)).as_bytes()


def _names(fields: Sequence[models.Field[Any, Any]]) -> Composed:
    names: list[Composable] = [Identifier(str(field.column)) for field in fields]
    return SQL(", ").join(names)


def _types(fields: Sequence[models.Field[Any, Any]]) -> Composed:
    pairs: list[Composable] = [
        SQL("{} {}").format(Identifier(str(field.column)), SQL(str(field.db_type(connection))))
        for field in fields
    ]
    return SQL(", ").join(pairs)


@cache
def _fields(model: type[models.Model]) -> tuple[models.Field[Any, Any], ...]:
    """The columns that an insert gives."""
    return tuple(field for field in _of(model).local_concrete_fields if not field.primary_key)


def _table(model: type[models.Model]) -> Identifier:
    return Identifier(str(_of(model).db_table))


def _of(model: type[models.Model]) -> Any:
    return model._meta  # noqa: SLF001 - Django's documented door to a model's columns
