"""The simulated AWS for tests in which the process itself goes to AWS, as worker-collect does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest

from lib import aws
from simulator.server import Simulator

REGION = "eu-west-1"


@contextmanager
def running() -> Iterator[Simulator]:
    """A simulator, and an environment in which boto3 finds it and the hub's own credentials."""
    simulator = Simulator().start()
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in surroundings(simulator).items():
                patch.setenv(name, value)
            aws._clients.clear()
            yield simulator
            aws._clients.clear()
    finally:
        simulator.stop()


@contextmanager
def away() -> Iterator[None]:
    """Nobody listens where AWS was."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        aws._clients.clear()
        yield
    aws._clients.clear()


def surroundings(simulator: Simulator) -> dict[str, str]:
    hub = simulator.estate["hub"]
    return {
        "AWS_ENDPOINT_URL": simulator.url,
        "AWS_ACCESS_KEY_ID": hub["access_key_id"],
        "AWS_SECRET_ACCESS_KEY": hub["secret_access_key"],
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def client(simulator: Simulator, service: str) -> Any:
    """A client of the test's own, with the hub's credentials."""
    hub = simulator.estate["hub"]
    return boto3.client(
        service,
        endpoint_url=simulator.url,
        region_name=REGION,
        aws_access_key_id=hub["access_key_id"],
        aws_secret_access_key=hub["secret_access_key"],
    )


def calls(simulator: Simulator, name: str) -> list[dict[str, Any]]:
    """The records of one operation since the last reset."""
    return [one for one in simulator.calls() if one["eventName"] == name]
