"""One's own inbox over the API. It is personal: a key has none, and nobody sees another's."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from identity.actors import Actor
from identity.requests import actor_of
from lib import clock
from lib.errors import Forbidden, Invalid
from notify import inbox as boxes
from notify.models import InboxItem
from soc.api.pagination import CursorPage


class InboxItemOut(serializers.Serializer[Any]):
    """One notice. `acknowledged_by` is who said first that they have it; `link` is a path of this site."""

    id = serializers.CharField()
    kind = serializers.CharField()
    subject = serializers.CharField()
    severity = serializers.IntegerField()
    title = serializers.CharField()
    detail = serializers.CharField()
    link = serializers.CharField()
    rung_at = serializers.DateTimeField()
    arrived_at = serializers.DateTimeField()
    read_at = serializers.DateTimeField(allow_null=True)
    acknowledged_by = serializers.CharField()
    acknowledged_at = serializers.DateTimeField(allow_null=True)


class InboxPage(serializers.Serializer[Any]):
    """One page of notices, newest first."""

    results = InboxItemOut(many=True)
    next = serializers.URLField(allow_null=True)


class Inbox(APIView):
    """The caller's notices."""

    permissions_needed = {"GET": None}

    @extend_schema(
        operation_id="inbox_list",
        parameters=[
            OpenApiParameter("unread", bool),
            OpenApiParameter("limit", int),
            OpenApiParameter("cursor", str),
        ],
        responses=InboxPage,
    )
    def get(self, request: Request) -> Response:
        """Notices, newest first; with `unread=true` only those that were not read."""
        rows = boxes.items_for(_person(request))
        unread = request.query_params.get("unread", "false")
        if unread not in ("true", "false"):
            raise Invalid("unread is true or false.", pointer="/unread")
        if unread == "true":
            rows = rows.filter(read_at__isnull=True)
        pager = CursorPage(order=("-pk",))
        return pager.get_paginated_response([shown(one) for one in pager.paginate_queryset(rows, request)])


class Read(APIView):
    """Reading one notice."""

    permissions_needed = {"POST": None}

    @extend_schema(operation_id="inbox_read", request=None, responses=InboxItemOut)
    def post(self, request: Request, ulid: str) -> Response:
        """Mark it as read; a second time changes nothing."""
        item = boxes.item_for(_person(request), ulid)
        boxes.mark_read(item=item, at=clock.now())
        return Response(shown(item))


def shown(item: InboxItem) -> dict[str, Any]:
    """The item as the API gives it."""
    notice = item.notice
    return {
        "id": item.ulid,
        "kind": notice.kind,
        "subject": notice.subject,
        "severity": notice.severity,
        "title": notice.title,
        "detail": notice.detail,
        "link": notice.link,
        "rung_at": notice.rung_at,
        "arrived_at": item.arrived_at,
        "read_at": item.read_at,
        "acknowledged_by": notice.acknowledged_by.name if notice.acknowledged_by else "",
        "acknowledged_at": notice.acknowledged_at,
    }


def _person(request: Request) -> Actor:
    actor = actor_of(request)
    if actor.kind != "person":
        raise Forbidden("An inbox is a person's; a key has none.")
    return actor
