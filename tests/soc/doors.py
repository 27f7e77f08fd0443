"""A few views that do nothing, to look at the plumbing around every view."""

from __future__ import annotations

from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.http import HttpRequest, HttpResponse
from django.urls import path
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from cases.models import Alert
from identity.permissions import Permission
from identity.requests import NotFresh, NotSignedIn
from lib.errors import Conflict, Forbidden, Invalid, NotFound
from soc.api.pagination import CursorPage
from soc.urls import handler400, handler403, handler404, handler500, urlpatterns

__all__ = ["handler400", "handler403", "handler404", "handler500", "urlpatterns"]


class Resource(serializers.Serializer[object]):
    kind = serializers.CharField()


class Thing(serializers.Serializer[object]):
    title = serializers.CharField(max_length=10)
    resources = Resource(many=True, required=False)


class Echo(APIView):
    permissions_needed = {"GET": None, "POST": Permission.WRITE_ALERTS}

    def get(self, request: Request) -> Response:
        del request
        return Response({})

    def post(self, request: Request) -> Response:
        return Response({"echo": request.data})


class Checked(APIView):
    permissions_needed = {"POST": Permission.WRITE_ALERTS}

    def post(self, request: Request) -> Response:
        thing = Thing(data=request.data)
        thing.is_valid(raise_exception=True)
        return Response(thing.data)


class Undeclared(APIView):
    def get(self, request: Request) -> Response:
        del request
        return Response({"secret": True})


class Raises(APIView):
    permissions_needed = {"GET": None}

    def get(self, request: Request, name: str) -> Response:
        del request
        raise {
            "not-found": NotFound(),
            "forbidden": Forbidden("Only a lead may do that."),
            "conflict": Conflict(),
            "invalid": Invalid("It is wrong.", pointer="/a/b"),
            "bug": ZeroDivisionError("with a secret inside"),
        }[name]


class Queue(APIView):
    permissions_needed = {"GET": None}

    def get(self, request: Request) -> Response:
        order = request.query_params.get("order", "-severity,-last_seen_at").split(",")
        pager = CursorPage(order=order, size=3, largest=7)
        rows = pager.paginate_queryset(Alert.objects.all(), request)
        return pager.get_paginated_response([row.pk for row in rows])


def page(request: HttpRequest, name: str) -> HttpResponse:
    """A page whose use-case refuses, or breaks."""
    del request
    raise {
        "not-found": NotFound(),
        "conflict": Conflict(),
        "not-signed-in": NotSignedIn(),
        "not-fresh": NotFresh(),
        "bug": ZeroDivisionError("with a secret inside"),
        "suspicious": SuspiciousOperation("x"),
        "too-large": RequestDataTooBig("x"),
    }[name]


urlpatterns = [
    path("pages/<name>", page),
    path("api/v1/echo", Echo.as_view()),
    path("api/v1/checked", Checked.as_view()),
    path("api/v1/undeclared", Undeclared.as_view()),
    path("api/v1/raises/<name>", Raises.as_view()),
    path("api/v1/queue", Queue.as_view()),
    *urlpatterns,
]
