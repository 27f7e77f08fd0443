"""Requests made up from the API's own schema, fitting it and not: none is ever answered with a 5xx.

The default tier takes a few of each operation; `-m exhaustive` ten thousand in all.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from functools import cache
from typing import Any
from urllib.parse import urlencode

import pytest
import schemathesis
from django.test import Client
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import GenerationMode
from schemathesis.config import GenerationConfig, ProjectConfig, ProjectsConfig, SchemathesisConfig

from cases.models import Alert
from identity.permissions import KEY_SCOPES
from tests import evidence, make

pytestmark = pytest.mark.django_db

FEW = 6
OF_INTAKE = 60
"""Of an alert's many fields one is soon wrong; among so many some are right."""


@schemathesis.serializer("application/x-ndjson")
def _as_lines(_: Any, value: Any) -> bytes:
    """What is sent where lines of JSON are asked for: any text."""
    return str(value).encode("utf-8", "surrogatepass")


CASES = 10_000


@cache
def operations() -> dict[str, Any]:
    """Every operation of the schema by its id."""
    modes = GenerationConfig(modes=[GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
    config = SchemathesisConfig(projects=ProjectsConfig(default=ProjectConfig(generation=modes)))
    # Not by its own WSGI client: that one lets Django close the connection which the test's rows are in.
    told = Client().get("/api/schema/", headers={"Accept": "application/vnd.oai.openapi+json"})
    schema = schemathesis.openapi.from_dict(told.json(), config=config)
    results: list[Any] = list(schema.get_all_operations())
    found = [result.ok() for result in results]
    return {str(one.definition.raw["operationId"]): one for one in found}


def sent(case: Any, headers: dict[str, str]) -> Any:
    """The answer to a made-up request, asked for as any test asks."""
    made = case.as_transport_kwargs()
    url = made["path"] if "path" in made else made["url"]
    query = made.get("query_string") or made.get("params") or {}
    body = made.get("data", b"")
    if "json" in made:
        body = json.dumps(made["json"]).encode("utf-8", "surrogatepass")
    elif isinstance(body, str):
        body = body.encode("utf-8", "surrogatepass")
    elif not isinstance(body, bytes):
        body = b""
    given = {str(name): str(value) for name, value in (made.get("headers") or {}).items()}
    kind = given.pop("Content-Type", "application/json")
    target = f"{url}?{urlencode(query, doseq=True, errors='surrogatepass')}" if query else url
    return Client().generic(case.method, target, body, kind, headers={**given, **headers})


def play(operation: Any, *, headers: dict[str, str], most: int) -> Counter[int]:
    """The statuses of that many made-up requests of an operation."""
    statuses: Counter[int] = Counter()

    @seed(20261124)
    @settings(
        max_examples=most,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def one(case: Any) -> None:
        answer = sent(case, headers)
        statuses[answer.status_code] += 1
        assert answer.status_code < 500, f"{answer.status_code}: {case.as_curl_command()}"

    one()
    return statuses


@pytest.fixture
def headers() -> dict[str, str]:
    make.account()
    logging.getLogger("django.request").setLevel(logging.ERROR)
    return {"Authorization": f"Bearer {make.key(*KEY_SCOPES)}", "Host": "127.0.0.1"}


def test_a_few_of_each_operation_and_no_failure(headers: dict[str, str]) -> None:
    most = {"alerts_create": OF_INTAKE, "alerts_batch": OF_INTAKE}
    told = {
        name: play(operation, headers=headers, most=most.get(name, FEW))
        for name, operation in operations().items()
    }

    assert sum(sum(statuses.values()) for statuses in told.values()) >= FEW * len(told) // 2
    assert Alert.objects.exists(), "some of the made-up alerts are good ones"


@pytest.mark.exhaustive
def test_ten_thousand_and_no_failure(headers: dict[str, str]) -> None:
    each = CASES // len(operations()) + 1
    told = {name: play(operation, headers=headers, most=each) for name, operation in operations().items()}

    whole: Counter[int] = Counter()
    for statuses in told.values():
        whole += statuses
    evidence.write("3", "schema_cases", {"operations": len(told), "statuses": dict(sorted(whole.items()))})
    assert sum(whole.values()) >= CASES
