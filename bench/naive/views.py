"""Token look-up, validation by a serializer, one committed insert; and the same for a list."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from bench.naive.models import Alert


class AlertSerializer(serializers.ModelSerializer[Alert]):
    """All columns, checked as the model says."""

    class Meta:
        model = Alert
        fields = "__all__"


class Alerts(APIView):
    """One alert."""

    def post(self, request: Request) -> Response:
        serializer = AlertSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        serializer.save()
        return Response(serializer.data, status=201)


class Bulk(APIView):
    """A list of alerts, by `bulk_create`, without validation of each."""

    def post(self, request: Request) -> Response:
        rows: Any = request.data
        made = Alert.objects.bulk_create([Alert(**row) for row in rows])
        return Response({"created": len(made)}, status=201)
