"""Long lists by cursor: a page begins after the last row of the one before, however much came in between."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.core import signing
from django.core.exceptions import FieldDoesNotExist
from django.db.models import F, Model, Q
from django.db.models.expressions import OrderBy
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from lib.errors import AppError, Invalid

SALT = "quell.cursor"


class UnknownCursor(AppError):
    """This cursor is not one of this list; begin again without it."""

    code = "unknown-cursor"


class CursorPage(BasePagination):
    """One page of a list in a declared order (`("-severity", "-last_seen_at")`), by keyset, not offset.

    The primary key is added as the last column, so ties are no trouble; empty values of nullable
    columns come last. `?limit=` sets the size up to `largest`, `?cursor=` continues. The cursor is
    signed, so what is in it needs no second validation, and is tied to the order it was made for.
    """

    def __init__(self, *, order: Sequence[str], size: int = 50, largest: int = 500) -> None:
        self.size = size
        self.largest = largest
        tie = "-pk" if order and order[-1].startswith("-") else "pk"
        self.order = tuple(order) if {"pk", "id"} & {_name(c) for c in order} else (*order, tie)
        self._next: str | None = None

    def paginate_queryset(self, queryset: Any, request: Request, view: APIView | None = None) -> list[Any]:
        """The rows of the page that was asked for, of a QuerySet in whatever order."""
        del view
        limit = self._limit(request)
        queryset = queryset.order_by(*self._sorting(queryset.model))
        if cursor := request.query_params.get("cursor"):
            queryset = queryset.filter(self._after(queryset.model, self._read(cursor)))
        rows = list(queryset[: limit + 1])
        self._next = self._link(request, rows[limit - 1]) if len(rows) > limit else None
        return rows[:limit]

    def get_paginated_response(self, data: Any) -> Response:
        """`{"results": [...], "next": url|null}`."""
        return Response({"results": data, "next": self._next})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """The same in OpenAPI."""
        link = {"type": "string", "format": "uri", "nullable": True}
        return {
            "type": "object",
            "required": ["results", "next"],
            "properties": {"results": schema, "next": link},
        }

    def _limit(self, request: Request) -> int:
        given = request.query_params.get("limit", str(self.size))
        if not (given.isascii() and given.isdigit() and 1 <= len(given) <= 6 and int(given) >= 1):
            raise Invalid("limit is a number from 1 up", pointer="/limit")
        return min(int(given), self.largest)

    def _sorting(self, model: type[Model]) -> Iterable[OrderBy]:
        for column in self.order:
            last = True if _is_nullable(model, _name(column)) else None
            field = F(_name(column))
            yield field.desc(nulls_last=last) if column.startswith("-") else field.asc(nulls_last=last)

    def _after(self, model: type[Model], values: list[Any]) -> Q:
        """Rows behind those values: behind in the first column, or equal there and behind in the next."""
        behind, equal = Q(pk__in=[]), Q()
        for column, value in zip(self.order, values, strict=True):
            name = _name(column)
            if value is None:  # nothing comes after the empty values but more of them
                equal &= Q(**{f"{name}__isnull": True})
                continue
            further = Q(**{f"{name}__{'lt' if column.startswith('-') else 'gt'}": value})
            if _is_nullable(model, name):
                further |= Q(**{f"{name}__isnull": True})
            behind |= equal & further
            equal &= Q(**{name: value})
        first, start = self.order[0], values[0]
        if start is None or _is_nullable(model, _name(first)):
            return behind
        # Says again what follows from the rest, so that the database starts in the index at this value.
        return Q(**{f"{_name(first)}__{'lte' if first.startswith('-') else 'gte'}": start}) & behind

    def _link(self, request: Request, row: Any) -> str:
        values = [_written(_value(row, _name(column))) for column in self.order]
        cursor = signing.dumps([list(self.order), values], salt=SALT)
        query = [(k, v) for k, many in request.query_params.lists() for v in many if k != "cursor"]
        return request.build_absolute_uri(f"{request.path}?{urlencode([*query, ('cursor', cursor)])}")

    def _read(self, cursor: str) -> list[Any]:
        try:
            order, values = signing.loads(cursor, salt=SALT)
        except (signing.BadSignature, ValueError) as failure:
            raise UnknownCursor from failure
        if order != list(self.order):
            raise UnknownCursor
        return [_read(value) for value in values]


def _name(column: str) -> str:
    return column.removeprefix("-")


def _is_nullable(model: type[Model], name: str) -> bool:
    if name == "pk":
        return False
    try:
        return bool(getattr(model._meta.get_field(name), "null", False))  # noqa: SLF001 - Django's documented API
    except FieldDoesNotExist:  # an annotation, which may be empty as far as we know
        return True


def _value(row: Any, name: str) -> Any:
    return row[name] if isinstance(row, dict) else getattr(row, name)


def _written(value: Any) -> Any:
    return {"at": value.isoformat()} if isinstance(value, datetime) else value


def _read(value: Any) -> Any:
    return datetime.fromisoformat(value["at"]) if isinstance(value, dict) else value
