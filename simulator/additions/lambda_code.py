"""Where a function's package can be had: moto names a host of AWS's, where nothing of ours is.

https://docs.aws.amazon.com/lambda/latest/api/API_FunctionCodeLocation.html
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, unquote

from moto.awslambda.models import LambdaFunction, lambda_backends

PATH = "lambda-code/"
_reached: list[str] = [""]


def reached_at(origin: str) -> None:
    """The address under which the simulated AWS is asked."""
    _reached[0] = origin


def code_at(path: str) -> bytes | None:
    """The package behind a path that `get_code` answered; None where there is none."""
    account, region, digest = unquote(path.removeprefix(PATH)).split("/", 2)
    for function in lambda_backends[account][region].list_functions():
        if function.code_sha_256.replace("/", "_") == digest:
            code: bytes = function.code_bytes
            return code
    return None


_get_code = LambdaFunction.get_code


def get_code(self: Any) -> dict[str, Any]:
    """moto's answer, with an address at which the package lies."""
    answer: dict[str, Any] = _get_code(self)
    if "Location" in answer.get("Code", {}):
        digest = quote(self.code_sha_256.replace("/", "_"))
        answer["Code"]["Location"] = f"{_reached[0]}/_sim/{PATH}{self.account_id}/{self.region}/{digest}"
    return answer


def apply() -> None:
    """Let GetFunction name an address that answers."""
    target: Any = LambdaFunction
    target.get_code = get_code
