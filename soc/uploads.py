"""Files in requests: how much of one is taken, and where it lies until it is kept.

Django's parser reads a form as it comes in and hands each piece to the handlers below; whatever one of them
refuses is read no further. Pages parse a form before they know who sent it, since the token that guards
against forgery is in it, so what nobody known sends, or what is sent elsewhere, may only be small.
https://docs.djangoproject.com/en/5.2/ref/files/uploads/
"""

from __future__ import annotations

import tempfile
from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.core.files.uploadedfile import TemporaryUploadedFile, UploadedFile
from django.core.files.uploadhandler import FileUploadHandler, TemporaryFileUploadHandler
from django.http import HttpRequest

from cases import evidence_store
from identity.requests import NotSignedIn, actor_of

TAKING_FILES = frozenset({"incident-evidence", "api-incident-evidence"})
"""The addresses, by name, that take a file as large as an artefact may be."""


class TooLarge(RequestDataTooBig):
    """More than is taken at this address. `says` is what the sender is told."""

    def __init__(self, most: int) -> None:
        self.says = f"The files of one request may have {most / 2**20:g} MB here."
        super().__init__(self.says)


class Capped(FileUploadHandler):
    """Passes files on to the handlers behind it, up to the limit; then the request is refused (413).

    What is announced as too long is refused before any of it is read.
    """

    most = 0
    seen = 0

    def handle_raw_input(
        self,
        input_data: Any,  # noqa: ARG002 - the parser reads it
        META: dict[str, str],  # noqa: ARG002, N803 - Django's name
        content_length: int,
        boundary: str,  # noqa: ARG002
        encoding: str | None = None,  # noqa: ARG002
    ) -> None:
        """Before anything is read. Raises `TooLarge`."""
        self.most, self.seen = _limit(self.request), 0
        # The fields beside the files have a limit of their own.
        if content_length > self.most + settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            raise TooLarge(self.most)

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:  # noqa: ARG002 - of one file alone
        """Count a piece of whichever file and pass it on. Raises `TooLarge`."""
        self.seen += len(raw_data)
        if self.seen > self.most:
            # Django closes files that are whole, not the one that is under way.
            for handler in self.request.upload_handlers if self.request is not None else ():
                handler.upload_interrupted()
            raise TooLarge(self.most)
        return raw_data

    def file_complete(self, file_size: int) -> None:
        """The file is made by a handler behind this one."""


class Incoming(TemporaryFileUploadHandler):
    """Writes a file beside the evidence store's own parts: on the same disk, and cleared away like them.

    A directory for temporary files may well lie in memory, as it does in the containers.
    """

    file: Any

    def new_file(self, *given: Any, **named: Any) -> None:
        """A file begins."""
        FileUploadHandler.new_file(self, *given, **named)
        self.file = Part(self.file_name, self.content_type, 0, self.charset, self.content_type_extra)


class Part(TemporaryUploadedFile):
    """A file under `incoming` that is gone when it is closed."""

    def __init__(
        self, name: str | None, content_type: str | None, size: int, charset: str | None, extra: Any
    ) -> None:
        beside = tempfile.NamedTemporaryFile(suffix=".upload", dir=evidence_store.incoming())  # noqa: SIM115 - closed with the request
        UploadedFile.__init__(self, beside, name, content_type, size, charset, extra)


def _limit(request: HttpRequest | None) -> int:
    """How many bytes the files of a request may have together."""
    found = request.resolver_match if request is not None else None
    if request is None or found is None or found.url_name not in TAKING_FILES or not _is_known(request):
        return int(settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
    return int(settings.QUELL_EVIDENCE_MOST_BYTES)


def _is_known(request: HttpRequest) -> bool:
    try:
        actor_of(request)
    except NotSignedIn:
        return False
    return True
