"""Bodies: JSON in UTF-8 within strict limits, read by the same decoder as intake."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest
from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.parsers import BaseParser

from cases import decoding
from lib.errors import Invalid


class Unreadable(Invalid):
    """The body is not JSON that can be read."""

    status = 400
    code = "unreadable"


class StrictJSONParser(BaseParser):
    """`application/json`, in UTF-8 only, as large as `DATA_UPLOAD_MAX_MEMORY_SIZE` at most.

    Depth, keys, numbers, doubled names, NUL and half characters are `cases.decoding`'s business.
    Raises `Unreadable` (400), `RequestDataTooBig` (413) or `UnsupportedMediaType` (415).
    """

    media_type = "application/json"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        request: HttpRequest = (parser_context or {})["request"]
        charset = (request.content_params or {}).get("charset", "utf-8")
        if charset.lower().strip('"') not in ("utf-8", "utf8"):
            raise UnsupportedMediaType(media_type or "", "JSON is read in UTF-8 only.")
        body = read_capped(request, stream)
        try:
            return decoding.decode(body)
        except decoding.Unreadable as failure:
            raise Unreadable(
                f"The body cannot be read: {failure.reason}.", pointer=failure.pointer
            ) from failure


def read_capped(request: HttpRequest, stream: IO[Any]) -> bytes:
    """The whole body, or `RequestDataTooBig`, read no further than the limit whatever was announced."""
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    if int(request.META.get("CONTENT_LENGTH") or 0) > limit:
        raise RequestDataTooBig
    body: bytes = stream.read(limit + 1)
    if len(body) > limit:
        raise RequestDataTooBig
    return body
