"""Provisioned concurrency, and the URLs and policies of aliases.

moto has no provisioned concurrency, no list of URLs, and shows a function's own policy and URL for all its
versions and aliases.
https://docs.aws.amazon.com/lambda/latest/api/API_PutProvisionedConcurrencyConfig.html
https://docs.aws.amazon.com/lambda/latest/api/API_ListFunctionUrlConfigs.html
https://docs.aws.amazon.com/lambda/latest/api/API_AddPermission.html
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote

from moto.awslambda import urls
from moto.awslambda.exceptions import (
    GenericResourcNotFound,
    InvalidParameterValueException,
    LambdaClientError,
)
from moto.awslambda.models import FunctionUrlConfig, LambdaBackend
from moto.awslambda.policy import Policy
from moto.awslambda.responses import LambdaResponse

PATH = "functions/(?P<function_name>[\\w_:%-]+)"


class _NotProvisionedError(LambdaClientError):
    code = 404

    def __init__(self) -> None:
        super().__init__(
            "ProvisionedConcurrencyConfigNotFoundException", "No Provisioned Concurrency Config found"
        )


def _function(response: Any) -> Any:
    return response.backend.get_function(unquote(response.path.split("/")[3]))


def _provisioned(function: Any) -> dict[str, int]:
    kept: dict[str, int] = vars(function).setdefault("quell_provisioned", {})
    return kept


def _qualifier(response: Any) -> str:
    return str(response.querystring.get("Qualifier", [""])[0])


def _shown(number: int) -> dict[str, Any]:
    return {
        "RequestedProvisionedConcurrentExecutions": number,
        "AvailableProvisionedConcurrentExecutions": number,
        "AllocatedProvisionedConcurrentExecutions": number,
        "Status": "READY",
    }


def _put(self: Any) -> tuple[int, dict[str, str], str]:
    function, number = _function(self), int(json.loads(self.body)["ProvisionedConcurrentExecutions"])
    reserved = function.reserved_concurrency
    others = sum(count for name, count in _provisioned(function).items() if name != _qualifier(self))
    if reserved is not None and others + number > int(reserved):
        raise InvalidParameterValueException(
            "Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution"
            " for function"
        )
    _provisioned(function)[_qualifier(self)] = number
    return 202, {"status": "202"}, json.dumps(_shown(number))


def _get(self: Any) -> str:
    number = _provisioned(_function(self)).get(_qualifier(self))
    if number is None:
        raise _NotProvisionedError
    return json.dumps(_shown(number))


def _delete(self: Any) -> tuple[int, dict[str, str], str]:
    _provisioned(_function(self)).pop(_qualifier(self), None)
    return 204, {"status": "204"}, ""


def _list(self: Any) -> str:
    function = _function(self)
    arn = function.function_arn
    found = [{"FunctionArn": f"{arn}:{name}", **_shown(n)} for name, n in _provisioned(function).items()]
    return json.dumps({"ProvisionedConcurrencyConfigs": found})


def _urls(function: Any) -> dict[str, FunctionUrlConfig]:
    """The URLs of a function's aliases, by alias; its own is moto's."""
    kept: dict[str, FunctionUrlConfig] = vars(function).setdefault("quell_urls", {})
    return kept


def _shown_url(function: Any, qualifier: str, config: FunctionUrlConfig) -> dict[str, Any]:
    return {**config.to_dict(), "FunctionArn": f"{function.function_arn}:{qualifier}"}


def _list_urls(self: Any) -> str:
    function = _function(self)
    own = [function.url_config.to_dict()] if function.url_config else []
    others = [_shown_url(function, name, config) for name, config in _urls(function).items()]
    return json.dumps({"FunctionUrlConfigs": [*own, *others]})


def _of_alias(original: Any, answer: Any) -> Any:
    """moto's operation for the function's own URL, `answer(response, function, alias)` for an alias's."""

    def operate(self: Any) -> Any:
        alias = _qualifier(self)
        if not alias:
            return original(self)
        self.backend.get_function(unquote(self.path.split("/")[3]), alias)  # raises where there is none
        return answer(self, _function(self), alias)

    return operate


def _create_url(self: Any, function: Any, alias: str) -> tuple[int, dict[str, Any], str]:
    config = _urls(function)[alias] = FunctionUrlConfig(function, json.loads(self.body))
    return 201, {"status": 201}, json.dumps(_shown_url(function, alias, config))


def _get_url(_: Any, function: Any, alias: str) -> str:
    if alias not in _urls(function):
        raise GenericResourcNotFound
    return json.dumps(_shown_url(function, alias, _urls(function)[alias]))


def _update_url(self: Any, function: Any, alias: str) -> str:
    if alias in _urls(function):
        _urls(function)[alias].update(json.loads(self.body))
    return _get_url(self, function, alias)


def _delete_url(_: Any, function: Any, alias: str) -> tuple[int, dict[str, Any], str]:
    _urls(function).pop(alias, None)
    return 204, {"status": 204}, "{}"


def _policy(response: Any, name: str) -> Policy:
    """The policy that a call is about: of the function, or of the alias or version that it names."""
    function, qualifier = response.backend.get_function(name), _qualifier(response)
    if qualifier in ("", "$LATEST"):
        own: Policy = function.policy
        return own
    response.backend.get_function(name, qualifier)  # raises where there is none
    kept: dict[str, Policy] = vars(function).setdefault("quell_policies", {})
    return kept.setdefault(qualifier, Policy(function))


def _add_permission(self: Any) -> str:
    policy = _policy(self, unquote(self.path.split("/")[-2]))
    statement, _ = policy.add_statement(self.body, _qualifier(self) or None)
    return json.dumps({"Statement": json.dumps(statement)})


def _get_policy(self: Any) -> str:
    return _policy(self, unquote(self.path.split("/")[-2])).wire_format()


def _remove_permission(self: Any) -> tuple[int, dict[str, Any], str]:
    *_, name, _, sid = self.path.split("/")
    revision = str(self.querystring.get("RevisionId", [""])[0])
    _policy(self, unquote(name)).del_statement(unquote(sid), revision)
    return 204, {"status": 204}, "{}"


def _reserve(original: Any) -> Any:
    def reserve(self: Any, function_name: str, reserved_concurrency: Any) -> Any:
        provisioned = sum(_provisioned(self.get_function(function_name)).values())
        if provisioned > int(reserved_concurrency):
            raise InvalidParameterValueException(
                "ReservedConcurrentExecutions can not be less than the sum of provisioned concurrency"
            )
        return original(self, function_name, reserved_concurrency)

    return reserve


def apply() -> None:
    """Give moto's Lambda five more operations, and to seven others what AWS does of aliases."""
    target: Any = LambdaResponse
    target.put_provisioned_concurrency_config = _put
    target.get_provisioned_concurrency_config = _get
    target.delete_provisioned_concurrency_config = _delete
    target.list_provisioned_concurrency_configs = _list
    target.list_function_url_configs = _list_urls
    for what, answer in (
        ("create", _create_url),
        ("get", _get_url),
        ("update", _update_url),
        ("delete", _delete_url),
    ):
        name = f"{what}_function_url_config"
        setattr(target, name, _of_alias(getattr(LambdaResponse, name), answer))
    target.add_permission = _add_permission
    target.get_policy = _get_policy
    target.remove_permission = _remove_permission
    backend: Any = LambdaBackend
    backend.put_function_concurrency = _reserve(LambdaBackend.put_function_concurrency)
    for last in ("provisioned-concurrency", "urls"):
        urls.url_paths[f"{{0}}/(?P<api_version>[^/]+)/{PATH}/{last}/?$"] = LambdaResponse.dispatch
