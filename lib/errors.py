"""What can be said to a person when something cannot be done."""

from __future__ import annotations

import inspect


class AppError(Exception):
    """The request could not be carried out.

    Children name one reason each and are raised by the module that speaks of it. Their docstring
    is the sentence shown when none is given; `code` is the stable end of an RFC 9457 `type`.
    """

    status = 400
    code = "bad-request"
    retry_after: int | None = None
    """In how many seconds the same request may succeed, where that is known."""

    def __init__(self, detail: str | None = None) -> None:
        self.detail = detail or inspect.cleandoc(self.__doc__ or "").split("\n")[0]
        super().__init__(self.detail)


class NotFound(AppError):
    """There is no such thing, or it is not yours to see."""

    status = 404
    code = "not-found"


class Forbidden(AppError):
    """Your role does not allow this."""

    status = 403
    code = "forbidden"


class Conflict(AppError):
    """It has changed meanwhile, or is not in a state that allows this."""

    status = 409
    code = "conflict"


class TooManyRequests(AppError):
    """Too much was sent in too short a time."""

    status = 429
    code = "too-many-requests"

    def __init__(self, detail: str | None = None, *, retry_after: int) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class Invalid(AppError):
    """A value is missing or wrong.

    `pointer` is the JSON pointer (RFC 6901) of the value, where one can be named.
    """

    status = 422
    code = "invalid"

    def __init__(self, detail: str | None = None, *, pointer: str = "") -> None:
        super().__init__(detail)
        self.pointer = pointer
