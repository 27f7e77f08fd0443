"""Provisioned concurrency, the list of a function's URLs, and the policies of aliases and versions.

moto has neither of the first two, and shows one policy for a function and all its versions.
https://docs.aws.amazon.com/lambda/latest/api/API_PutProvisionedConcurrencyConfig.html
https://docs.aws.amazon.com/lambda/latest/api/API_ListFunctionUrlConfigs.html
https://docs.aws.amazon.com/lambda/latest/api/API_AddPermission.html
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote

from moto.awslambda import urls
from moto.awslambda.exceptions import InvalidParameterValueException, LambdaClientError
from moto.awslambda.models import LambdaBackend
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


def _list_urls(self: Any) -> str:
    """The function's own URL: moto knows none of versions and aliases."""
    config = _function(self).url_config
    return json.dumps({"FunctionUrlConfigs": [config.to_dict()] if config else []})


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
    """Give moto's Lambda five more operations, and to three others what AWS has them do."""
    target: Any = LambdaResponse
    target.put_provisioned_concurrency_config = _put
    target.get_provisioned_concurrency_config = _get
    target.delete_provisioned_concurrency_config = _delete
    target.list_provisioned_concurrency_configs = _list
    target.list_function_url_configs = _list_urls
    target.add_permission = _add_permission
    target.get_policy = _get_policy
    target.remove_permission = _remove_permission
    backend: Any = LambdaBackend
    backend.put_function_concurrency = _reserve(LambdaBackend.put_function_concurrency)
    for last in ("provisioned-concurrency", "urls"):
        urls.url_paths[f"{{0}}/(?P<api_version>[^/]+)/{PATH}/{last}/?$"] = LambdaResponse.dispatch
