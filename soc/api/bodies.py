"""Bodies of requests: what a serializer knows and nothing else, and raw bytes for intake."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.request import Request

from cases.words import Band


class Strict(serializers.Serializer[Any]):
    """Refuses fields that it does not know, naming each."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict):
            unknown = [name for name in data if name not in self.fields]
            if unknown:
                raise serializers.ValidationError(
                    {str(name)[:60]: ["There is no such field."] for name in unknown}
                )
        return super().to_internal_value(data)


@extend_schema_field(
    {
        "oneOf": [
            {"type": "integer", "minimum": 0, "maximum": 100},
            {"type": "string", "enum": [band.value for band in Band]},
        ]
    }
)
class SeverityField(serializers.Field[int, Any, int, int]):
    """A whole number from 0 to 100, or the name of a band."""

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, str) and data in set(Band):
            return Band(data).severity
        if isinstance(data, bool) or not isinstance(data, int) or not 0 <= data <= 100:
            raise serializers.ValidationError(f"A whole number from 0 to 100, or one of {', '.join(Band)}.")
        return data

    def to_representation(self, value: int) -> int:
        return value


def valid(form: type[Strict], data: Any, *, partial: bool = False) -> dict[str, Any]:
    """What a body says, checked. Raises REST framework's `ValidationError` (422 here)."""
    serializer = form(data=data, partial=partial)
    serializer.is_valid(raise_exception=True)
    found: dict[str, Any] = serializer.validated_data
    return found


def raw(request: Request) -> bytes:
    """The body as it came, whatever its type says. `RequestDataTooBig`, or 415 for a form with files."""
    if str(request.content_type).startswith("multipart/"):
        raise UnsupportedMediaType(str(request.content_type), "Send the documents as the body.")
    body: bytes = request.body
    return body
