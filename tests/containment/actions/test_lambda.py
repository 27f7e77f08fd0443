"""What the types about functions plan, refuse, send and undo."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from containment.actions import action_type
from containment.types import Compare, Kind, Plan, Refused
from tests.containment.actions.network_reader import ACCOUNT, context, misfits, planned, said
from tests.containment.subjects.data import function, make_triggers, triggers
from tests.containment.world import REGION, SHIPPING, World

NAME = "label-render"
PARTITIONS = {"aws": "eu-west-1", "aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1"}
ON_FUNCTIONS = ("lambda.capture-function", "lambda.disable-triggers", "lambda.throttle-function")


def arn(qualifier: str = "", *, partition: str = "aws") -> str:
    ending = f":{qualifier}" if qualifier else ""
    return f"arn:{partition}:lambda:{PARTITIONS[partition]}:{ACCOUNT}:function:{NAME}{ending}"


def sent(plan: Plan) -> list[tuple[str, dict[str, Any]]]:
    return [(step.call.operation, dict(step.call.params)) for step in plan.steps if step.call]


def undone(plan: Plan) -> list[tuple[str, dict[str, Any]]]:
    return [(step.undo.operation, dict(step.undo.params)) for step in plan.steps if step.undo]


@pytest.mark.fast
@pytest.mark.parametrize("type_id", ON_FUNCTIONS)
def test_a_function_that_is_not_there_or_is_named_with_more_than_its_name_is_refused(type_id: str) -> None:
    nothing = {"lambda:GetFunctionConfiguration": None}
    with pytest.raises(Refused, match="there is no function label-render"):
        planned(type_id, NAME, nothing)
    for name in (arn(), f"{NAME}:live"):
        with pytest.raises(Refused, match="without"):
            planned(type_id, name, nothing)


# --- throttle ---------------------------------------------------------------------------------------


def limits(*, reserved: int | None = None, provisioned: Mapping[str, int] | None = None) -> dict[str, Any]:
    """A function, the limit of its own, and what is kept ready for its versions and aliases."""
    ready = provisioned or {}
    listed = [
        {"FunctionArn": arn(name), "RequestedProvisionedConcurrentExecutions": number}
        for name, number in ready.items()
    ]

    def one(params: Mapping[str, Any]) -> Any:
        return {"RequestedProvisionedConcurrentExecutions": ready[params["Qualifier"]]}

    return {
        "lambda:GetFunctionConfiguration": {
            "FunctionName": NAME,
            "Role": "arn:role",
            "Runtime": "python3.13",
        },
        "lambda:GetFunctionConcurrency": {}
        if reserved is None
        else {"ReservedConcurrentExecutions": reserved},
        "lambda:ListProvisionedConcurrencyConfigs": {"ProvisionedConcurrencyConfigs": listed},
        "lambda:GetProvisionedConcurrencyConfig": one,
        "lambda:ListEventSourceMappings": {"EventSourceMappings": [{"UUID": "u-1"}]},
    }


@pytest.mark.fast
@pytest.mark.parametrize(
    ("reserved", "undo"),
    [
        (None, ("DeleteFunctionConcurrency", {"FunctionName": NAME})),
        (7, ("PutFunctionConcurrency", {"FunctionName": NAME, "ReservedConcurrentExecutions": 7})),
    ],
)
def test_the_limit_becomes_zero_and_goes_back_to_what_it_was(
    reserved: int | None, undo: tuple[str, dict[str, Any]]
) -> None:
    plan = planned("lambda.throttle-function", NAME, limits(reserved=reserved))

    assert sent(plan) == [
        ("PutFunctionConcurrency", {"FunctionName": NAME, "ReservedConcurrentExecutions": 0})
    ]
    assert undone(plan) == [undo]
    assert plan.steps[0].was == reserved
    assert any("run all at once" in one for one in plan.warnings)


@pytest.mark.fast
def test_a_function_that_may_not_run_anyway_is_so_already() -> None:
    (step,) = planned("lambda.throttle-function", NAME, limits(reserved=0)).steps

    assert step.seen
    assert step.was == step.seen.equals == 0


@pytest.mark.fast
def test_what_is_kept_ready_for_aliases_and_versions_goes_first_and_comes_back_after_the_limit() -> None:
    plan = planned("lambda.throttle-function", NAME, limits(reserved=9, provisioned={"live": 2, "12": 3}))

    assert [name for name, _ in sent(plan)] == [
        "DeleteProvisionedConcurrencyConfig",
        "DeleteProvisionedConcurrencyConfig",
        "PutFunctionConcurrency",
    ]
    assert [params.get("Qualifier") for _, params in sent(plan)] == ["12", "live", None]
    assert [params.get("ProvisionedConcurrentExecutions") for _, params in undone(plan)] == [3, 2, None]
    assert plan.changes[:2] == (
        "label-render:12 loses its 3 provisioned executions",
        "label-render:live loses its 2 provisioned executions",
    )
    affected = action_type("lambda.throttle-function")().affects(
        context("lambda.throttle-function", NAME, limits())
    )
    assert [one.what for one in affected] == ["whatever calls label-render", "u-1, which feeds it"]


# --- triggers ---------------------------------------------------------------------------------------


def statement(sid: str, principal: Any = None, **more: Any) -> dict[str, Any]:
    return {
        "Sid": sid,
        "Effect": "Allow",
        "Principal": principal or {"Service": "s3.amazonaws.com"},
        "Action": "lambda:InvokeFunction",
        "Resource": arn(),
        **more,
    }


def fed(
    *,
    own: list[dict[str, Any]] | None = None,
    of_alias: list[dict[str, Any]] | None = None,
    mappings: Mapping[str, list[dict[str, Any]]] | None = None,
    urls: Mapping[str, str] | None = None,
    partition: str = "aws",
) -> dict[str, Any]:
    """A function with the alias live, and what starts either."""
    policies, sources = {"": own, "live": of_alias}, mappings or {}
    known = {one["UUID"]: one for some in sources.values() for one in some}

    def policy(params: Mapping[str, Any]) -> Any:
        found = policies[params.get("Qualifier", "")]
        return {"Policy": json.dumps({"Version": "2012-10-17", "Statement": found})} if found else None

    def of(params: Mapping[str, Any]) -> Any:
        return {"EventSourceMappings": sources.get(params["FunctionName"], [])}

    def configured(params: Mapping[str, Any]) -> Any:
        return {"AuthType": (urls or {})[params.get("Qualifier", "")]}

    listed = [
        {
            "FunctionArn": arn(name, partition=partition),
            "FunctionUrl": f"https://{name or 'own'}.lambda-url/",
            "AuthType": auth,
        }
        for name, auth in (urls or {}).items()
    ]
    return {
        "lambda:GetFunctionConfiguration": {"FunctionName": NAME, "Role": "role"},
        "lambda:ListAliases": {"Aliases": [{"Name": "live"}]},
        "lambda:ListEventSourceMappings": of,
        "lambda:GetEventSourceMapping": lambda params: known[params["UUID"]],
        "lambda:ListFunctionUrlConfigs": {"FunctionUrlConfigs": listed},
        "lambda:GetFunctionUrlConfig": configured,
        "lambda:GetPolicy": policy,
    }


@pytest.mark.fast
def test_mappings_of_the_function_and_of_its_aliases_are_switched_off_and_waited_for() -> None:
    found = {
        NAME: [
            {"UUID": "u-2", "State": "Enabled", "EventSourceArn": "arn:queue"},
            {"UUID": "u-9", "State": "Deleting", "EventSourceArn": "arn:going"},
        ],
        f"{NAME}:live": [{"UUID": "u-1", "State": "Disabled", "EventSourceArn": "arn:stream"}],
    }
    plan = planned("lambda.disable-triggers", NAME, fed(mappings=found))

    assert sent(plan) == [
        ("UpdateEventSourceMapping", {"UUID": "u-1", "Enabled": False}),
        ("UpdateEventSourceMapping", {"UUID": "u-2", "Enabled": False}),
    ]
    assert undone(plan) == [
        ("UpdateEventSourceMapping", {"UUID": "u-1", "Enabled": True}),
        ("UpdateEventSourceMapping", {"UUID": "u-2", "Enabled": True}),
    ]
    assert [step.kind for step in plan.steps] == [Kind.SET, Kind.WAIT] * 2
    # The one of the alias is off already: not sent, and so never switched on by undo.
    assert [step.was for step in plan.steps if step.kind is Kind.SET] == [False, True]
    assert {step.lane for step in plan.steps} == {"u-1", "u-2"}


@pytest.mark.fast
def test_urls_of_the_function_and_of_its_alias_take_signed_requests_only() -> None:
    plan = planned("lambda.disable-triggers", NAME, fed(urls={"": "NONE", "live": "NONE"}))

    assert sent(plan) == [
        ("UpdateFunctionUrlConfig", {"FunctionName": NAME, "AuthType": "AWS_IAM"}),
        ("UpdateFunctionUrlConfig", {"FunctionName": NAME, "Qualifier": "live", "AuthType": "AWS_IAM"}),
    ]
    assert [params["AuthType"] for _, params in undone(plan)] == ["NONE", "NONE"]
    signed = planned("lambda.disable-triggers", NAME, fed(urls={"live": "AWS_IAM"}))
    assert [step.was for step in signed.steps] == ["AWS_IAM"]


@pytest.mark.fast
def test_a_statement_goes_by_its_id_and_comes_back_in_the_words_of_add_permission() -> None:
    condition = {
        "ArnLike": {"AWS:SourceArn": "arn:aws:s3:::labels"},
        "StringEquals": {"AWS:SourceAccount": ACCOUNT},
    }
    public = statement(
        "url",
        "*",
        Action="lambda:InvokeFunctionUrl",
        Condition={
            "StringEquals": {"lambda:FunctionUrlAuthType": "NONE"},
            "Bool": {"lambda:InvokedViaFunctionUrl": "true"},
        },
    )
    table = fed(own=[statement("s3", Condition=condition)], of_alias=[public])
    plan = planned("lambda.disable-triggers", NAME, table)

    assert sent(plan) == [
        ("RemovePermission", {"FunctionName": NAME, "StatementId": "s3"}),
        ("RemovePermission", {"FunctionName": NAME, "Qualifier": "live", "StatementId": "url"}),
    ]
    assert undone(plan) == [
        (
            "AddPermission",
            {
                "FunctionName": NAME,
                "StatementId": "s3",
                "Action": "lambda:InvokeFunction",
                "Principal": "s3.amazonaws.com",
                "SourceArn": "arn:aws:s3:::labels",
                "SourceAccount": ACCOUNT,
            },
        ),
        (
            "AddPermission",
            {
                "FunctionName": NAME,
                "Qualifier": "live",
                "StatementId": "url",
                "Action": "lambda:InvokeFunctionUrl",
                "Principal": "*",
                "FunctionUrlAuthType": "NONE",
                "InvokedViaFunctionUrl": True,
            },
        ),
    ]
    assert all(step.seen and step.seen.compare is Compare.POLICY for step in plan.steps)
    affected = action_type("lambda.disable-triggers")().affects(
        context("lambda.disable-triggers", NAME, table)
    )
    assert misfits(plan) == []
    assert [one.what for one in affected] == ["s3.amazonaws.com for arn:aws:s3:::labels", "everyone"]


@pytest.mark.fast
@pytest.mark.parametrize(
    "lasting",
    [
        statement("two", {"AWS": ["111122223333", "222233334444"]}),
        statement("gone", {"AWS": "AIDAJQABLZS4A3QDU576Q"}),
        statement("federated", {"Federated": "cognito-identity.amazonaws.com"}),
        statement("actions", Action=["lambda:InvokeFunction", "lambda:GetFunction"]),
        statement("ip", Condition={"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}),
        statement("many", Condition={"ArnLike": {"AWS:SourceArn": ["arn:a", "arn:b"]}}),
        {key: value for key, value in statement("nameless").items() if key != "Sid"},
    ],
)
def test_what_could_not_be_put_back_stays_and_is_named(lasting: dict[str, Any]) -> None:
    plan = planned("lambda.disable-triggers", NAME, fed(own=[lasting, statement("s3")]))

    assert [params["StatementId"] for _, params in sent(plan)] == ["s3"]
    label = f"statement {lasting.get('Sid', 'without a Sid')} of label-render"
    assert list(plan.warnings) == [f"{label} stays: AddPermission could not put it back as it is"]
    with pytest.raises(Refused, match="no trigger that can be switched off and on again"):
        planned("lambda.disable-triggers", NAME, fed(own=[lasting]))


@pytest.mark.fast
def test_a_deny_lets_nobody_in_and_is_left_alone() -> None:
    with pytest.raises(Refused, match="no trigger"):
        planned("lambda.disable-triggers", NAME, fed(own=[statement("no", Effect="Deny")]))


@pytest.mark.fast
@pytest.mark.parametrize("partition", [name for name in PARTITIONS if name != "aws"])
def test_no_plan_about_functions_names_another_partition(partition: str) -> None:
    where: dict[str, Any] = {"partition": partition, "region": PARTITIONS[partition]}
    table = fed(
        own=[statement("s3", Resource=arn(partition=partition))],
        urls={"": "NONE", "live": "NONE"},
        mappings={f"{NAME}:live": [{"UUID": "6151ff99-ec62-403c-9e50-c17dd80e77b9", "State": "Enabled"}]},
        partition=partition,
    )
    plans = [
        planned("lambda.disable-triggers", NAME, table, **where),
        planned("lambda.throttle-function", NAME, limits(reserved=7, provisioned={"live": 2}), **where),
    ]

    assert [params.get("Qualifier") for _, params in sent(plans[0])][1:3] == [None, "live"]
    for plan in plans:
        assert "arn:aws:" not in said(plan)
        assert misfits(plan) == []
        assert {step.call.at.region for step in plan.steps if step.call} == {PARTITIONS[partition]}


@pytest.mark.fast
def test_a_parameter_that_botocore_would_not_send_is_found() -> None:
    plan = planned("lambda.throttle-function", NAME, limits())
    (step,) = plan.steps
    assert step.call
    wrong = replace(step.call, params={"FunctionName": NAME, "ReservedConcurrentExecutions": "none"})

    assert any(
        "ReservedConcurrentExecutions" in one
        for one in misfits(replace(plan, steps=(replace(step, call=wrong),)))
    )
    unknown = replace(step.call, operation="PutFunctionConcurrencies")
    assert misfits(replace(plan, steps=(replace(step, call=unknown),))) == [
        "lambda:PutFunctionConcurrencies: there is no such operation"
    ]


@pytest.mark.fast
def test_what_add_permission_takes_is_what_botocore_knows() -> None:
    from botocore.session import get_session

    taken = get_session().get_service_model("lambda").operation_model("AddPermission").input_shape
    # `lambda` is a keyword, so that the module has no name in an import statement.
    conditions = importlib.import_module("containment.actions.lambda.disable_triggers").CONDITIONS

    assert set(conditions.values()) <= set(taken.members)


# --- over the wire ----------------------------------------------------------------------------------


def _make_alias(world: World) -> None:
    """An alias with a queue, a public URL and a statement of its own, beside those of the function."""
    make_triggers(world)
    aws, name = world.admin("lambda"), function(world)
    version = aws.publish_version(FunctionName=name)["Version"]
    aws.create_alias(FunctionName=name, Name="live", FunctionVersion=version)
    aws.create_function_url_config(FunctionName=name, Qualifier="live", AuthType="NONE")
    sqs = world.admin("sqs")
    queue = sqs.create_queue(QueueName="of-the-alias")["QueueUrl"]
    found = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]
    aws.create_event_source_mapping(FunctionName=f"{name}:live", EventSourceArn=found["QueueArn"])
    aws.add_permission(
        FunctionName=name,
        Qualifier="live",
        StatementId="api",
        Action="lambda:InvokeFunction",
        Principal="apigateway.amazonaws.com",
    )


def _of_alias(world: World) -> dict[str, Any]:
    aws, name = world.admin("lambda"), function(world)
    try:
        policy = json.loads(aws.get_policy(FunctionName=name, Qualifier="live")["Policy"])["Statement"]
    except aws.exceptions.ResourceNotFoundException:
        policy = []
    mappings = aws.list_event_source_mappings(FunctionName=f"{name}:live")["EventSourceMappings"]
    return {
        "policy": policy,
        "url": aws.get_function_url_config(FunctionName=name, Qualifier="live")["AuthType"],
        "mappings": [one["State"] for one in mappings],
    }


def test_what_starts_an_alias_is_switched_off_and_put_back_beside_what_starts_the_function(
    world: World,
) -> None:
    _make_alias(world)
    before = (triggers(world), _of_alias(world))
    target = {"type": "function", "account": SHIPPING, "region": REGION, "id": function(world)}

    action = world.apply("lambda.disable-triggers", target)

    assert action.status == "verified", action.note
    assert _of_alias(world) == {"policy": [], "url": "AWS_IAM", "mappings": ["Disabled"]}
    off = triggers(world)
    assert (off["policy"], off["url"], [state for _, state in off["mappings"]]) == (
        [],
        "AWS_IAM",
        ["Disabled"],
    )
    back = world.revert(action)
    assert back.status == "verified", back.note
    assert (triggers(world), _of_alias(world)) == before
    assert [one["Sid"] for one in before[1]["policy"]] == ["api"]
