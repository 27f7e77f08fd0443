"""One simulated AWS for the session, as first built for each test."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from simulator.server import Simulator

NO_RETRIES = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=20)


def client(url: str, service: str, key: dict[str, str], region: str = "eu-west-1") -> Any:
    """A boto3 client that calls once and no more."""
    return boto3.client(
        service,
        endpoint_url=url,
        region_name=region,
        config=NO_RETRIES,
        aws_access_key_id=key["access_key_id"],
        aws_secret_access_key=key["secret_access_key"],
        aws_session_token=key.get("session_token"),
    )


def get(url: str) -> Any:
    """A JSON document by GET."""
    with urllib.request.urlopen(url, timeout=20) as answer:
        return json.load(answer)


def post(url: str, document: object) -> Any:
    """A JSON document by POST."""
    request = urllib.request.Request(url, data=json.dumps(document).encode(), method="POST")
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)


def code(error: pytest.ExceptionInfo[ClientError]) -> str:
    """The error code boto3 read."""
    return str(error.value.response["Error"]["Code"])


@dataclass(frozen=True)
class Stage:
    """The simulated AWS and shortcuts into its estate."""

    simulator: Simulator

    @property
    def url(self) -> str:
        """Its address."""
        return self.simulator.url

    @property
    def estate(self) -> dict[str, Any]:
        """Its description over HTTP."""
        document: dict[str, Any] = get(f"{self.url}/_sim/estate")
        return document

    def account(self, name: str) -> dict[str, Any]:
        """An account by name."""
        return next(account for account in self.estate["accounts"] if account["name"] == name)

    def instance(self, name: str) -> dict[str, Any]:
        """An instance by name."""
        return next(instance for instance in self.estate["instances"] if instance["name"] == name)

    def user(self, name: str) -> dict[str, Any]:
        """A user by name."""
        return next(user for user in self.estate["users"] if user["name"] == name)

    def root(self, service: str, account: str = "prod-shipping", region: str = "eu-west-1") -> Any:
        """A client as an account's root."""
        return client(self.url, service, self.account(account)["root_key"], region)

    def as_user(self, service: str, name: str, region: str = "eu-west-1") -> Any:
        """A client with a user's first key."""
        return client(self.url, service, self.user(name)["access_keys"][0], region)

    def assume(self, role: str, account: str = "prod-shipping", **changes: Any) -> dict[str, str]:
        """A session of a responder role, taken by the hub; returns a key with session token."""
        place = self.account(account)
        asked = {
            "RoleArn": place["roles"][role],
            "RoleSessionName": "test",
            "ExternalId": place["external_id"],
            **changes,
        }
        given = client(self.url, "sts", self.estate["hub"]).assume_role(
            **{k: v for k, v in asked.items() if v is not None}
        )
        return session_key(given)

    def calls(self, name: str) -> list[dict[str, Any]]:
        """Records of one operation."""
        return [call for call in get(f"{self.url}/_sim/calls?since=0")["calls"] if call["eventName"] == name]


def session_key(given: dict[str, Any]) -> dict[str, str]:
    """The key in an AssumeRole answer."""
    credentials = given["Credentials"]
    return {
        "access_key_id": credentials["AccessKeyId"],
        "secret_access_key": credentials["SecretAccessKey"],
        "session_token": credentials["SessionToken"],
    }


@pytest.fixture(scope="package")
def running() -> Iterator[Simulator]:
    """The one simulated AWS of this process."""
    simulator = Simulator().start()
    yield simulator
    simulator.stop()


@pytest.fixture
def aws(running: Simulator) -> Stage:
    """The simulated AWS, as first built."""
    running.reset()
    return Stage(running)
