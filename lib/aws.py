"""AWS through boto3: the only module that imports it.

A call is made as an assumed role, with the external id the role demands, a source identity, a
session policy and a session of fifteen minutes. Writes are sent exactly once: boto3's own retries
are off, because they would repeat a call whose outcome is not known.

Beside that stand a few calls of the process itself, which collect what others delivered (`own`,
`own_object`): docs/adr/0015-collecting-calls.md says which, and why they are apart.
"""

from __future__ import annotations

import os
import re
import threading
from base64 import b64encode
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import boto3
from botocore.config import Config
from botocore.credentials import Credentials, ReadOnlyCredentials
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ParamValidationError,
    UnknownServiceError,
)
from urllib3.exceptions import HTTPError

from lib import clock
from lib.canonical import JSON

CONNECT_SECONDS = 3
READ_SECONDS = 10
SESSION_SECONDS = 900
SESSION_MARGIN = timedelta(seconds=120)
KEPT_SESSIONS = 200
LONG_POLL_SECONDS = 20
"""The longest that SQS holds a request open.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html"""

OWN = frozenset(
    {
        "sns:ConfirmSubscription",
        "sqs:ChangeMessageVisibility",
        "sqs:ChangeMessageVisibilityBatch",
        "sqs:DeleteMessage",
        "sqs:DeleteMessageBatch",
        "sqs:GetQueueAttributes",
        "sqs:GetQueueUrl",
        "sqs:ReceiveMessage",
    }
)
"""All that the process may do under its own name; objects are read by `own_object`."""


class AwsError(Exception):
    """AWS answered, and refused."""

    def __init__(self, code: str, message: str = "", *, status: int = 400, request_id: str = "") -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.request_id = request_id


class NoAnswer(Exception):
    """No answer that can be read: a time-out, a reset, a 5xx. It may or may not have been done."""


class WrongAccount(Exception):
    """The assumed session is not in the account it was meant for; nothing was sent."""


class NotOwn(ValueError):
    """An operation that the process may not carry out under its own name; nothing was sent."""


class TooLarge(Exception):
    """An object has more bytes than the caller takes."""


@dataclass(frozen=True, kw_only=True)
class Role:
    """A role to assume, and under which names."""

    arn: str
    external_id: str
    account: str
    session_name: str
    source_identity: str
    policy: str = ""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What AWS said: the parsed body, plain JSON, and the request's id."""

    body: JSON
    request_id: str


@dataclass(frozen=True)
class _Credentials:
    key: str
    secret: str
    token: str
    until: datetime


_acting = threading.local()


class _ActingCredentials(Credentials):  # type: ignore[misc] # botocore has no types
    """The credentials of whichever role this thread acts as, read anew for each request.

    Making a client takes longer than most calls; so there is one for each service and region, and
    not one for each session.
    """

    def __init__(self) -> None:
        super().__init__("acting", "acting")

    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        given: _Credentials = _acting.credentials
        return ReadOnlyCredentials(given.key, given.secret, given.token)


_lock = threading.Lock()
_sessions: OrderedDict[Role, _Credentials] = OrderedDict()
_clients: dict[tuple[str, str, bool], Any] = {}

_ONCE = Config(
    connect_timeout=CONNECT_SECONDS,
    read_timeout=READ_SECONDS,
    retries={"total_max_attempts": 1, "mode": "standard"},
    s3={"addressing_style": "path"},
)
_READS = _ONCE.merge(Config(retries={"total_max_attempts": 2, "mode": "standard"}))
# All of these may safely be repeated; a queue answers after its long poll only.
_OWN = _READS.merge(Config(read_timeout=LONG_POLL_SECONDS + READ_SECONDS))


def read(role: Role, *, region: str, service: str, operation: str, params: Mapping[str, Any]) -> JSON:
    """A read, all its pages together; may be repeated once by boto3. Raises `AwsError`, `NoAnswer`."""
    client = _client(service=service, region=region, once=False)
    _acting.credentials = _credentials(role)
    method = _method(client, operation)
    if client.can_paginate(method):
        body = _told(lambda: client.get_paginator(method).paginate(**params).build_full_result())
    else:
        body = _told(lambda: getattr(client, method)(**params))
    return body.body


def send(role: Role, *, region: str, service: str, operation: str, params: Mapping[str, Any]) -> Answer:
    """One request that may change something, sent once. Raises `AwsError`, `NoAnswer`."""
    client = _client(service=service, region=region, once=True)
    _acting.credentials = _credentials(role)
    return _told(lambda: getattr(client, _method(client, operation))(**params))


def own(*, region: str, service: str, operation: str, params: Mapping[str, Any]) -> Answer:
    """A call with the process's own credentials, one of `OWN`; may be repeated once by boto3.

    Raises `NotOwn` for any other, `AwsError`, `NoAnswer`.
    """
    if f"{service}:{operation}" not in OWN:
        raise NotOwn(f"{service}:{operation} is not among the calls that a process makes under its own name")
    client = _own_client(service=service, region=region)
    return _told(lambda: getattr(client, _method(client, operation))(**params))


def own_object(*, region: str, bucket: str, key: str, limit: int, version: str = "") -> bytes:
    """An object's bytes, read with the process's own credentials. `TooLarge` above `limit` bytes.

    Raises `AwsError`, `NoAnswer`. No more than the limit and one byte is ever read.
    """
    client = _own_client(service="s3", region=region)
    asked = {"Bucket": bucket, "Key": key, **({"VersionId": version} if version else {})}
    found: list[bytes] = []

    def fetch() -> dict[str, Any]:
        body = client.get_object(**asked)["Body"]
        try:
            found.append(body.read(limit + 1))
        except (OSError, HTTPError) as cut:
            raise NoAnswer(str(cut)) from cut
        finally:
            body.close()
        return {}

    _told(fetch)
    if len(found[0]) > limit:
        raise TooLarge(f"s3://{bucket}/{key} has more than {limit} bytes")
    return found[0]


def endpoint() -> str:
    """The address of another AWS than the real one, as boto3 reads it; empty for the real one."""
    return os.environ.get("AWS_ENDPOINT_URL", "")


def assume(role: Role) -> None:
    """Make sure that there is a live session; raises like a call, and `WrongAccount`."""
    _credentials(role)


def forget_sessions(source_identity: str = "") -> None:
    """Drop the kept sessions of a source identity; without one all, as a new process would begin."""
    with _lock:
        for role in list(_sessions):
            if not source_identity or role.source_identity == source_identity:
                del _sessions[role]


def try_to_assume(role: Role, *, external_id: str) -> None:
    """Ask for a session under that external id, or under none where it is empty, and keep nothing of it.

    Raises like `assume`.
    """
    _ask_for_session(role, external_id)


def _credentials(role: Role) -> _Credentials:
    with _lock:
        kept = _sessions.get(role)
        if kept and kept.until - SESSION_MARGIN > clock.now():
            _sessions.move_to_end(role)
            return kept
    if not role.external_id:
        raise AwsError("NoExternalId", f"{role.arn} is not assumed without an external id")
    fresh = _ask_for_session(role, role.external_id)
    with _lock:
        _sessions[role] = fresh
        while len(_sessions) > KEPT_SESSIONS:
            _sessions.popitem(last=False)
    return fresh


def _ask_for_session(role: Role, external_id: str) -> _Credentials:
    asked: dict[str, Any] = {
        "RoleArn": role.arn,
        "RoleSessionName": role.session_name,
        "SourceIdentity": role.source_identity,
        "DurationSeconds": SESSION_SECONDS,
    }
    if external_id:
        asked["ExternalId"] = external_id
    if role.policy:
        asked["Policy"] = role.policy
    body: Any = _told(lambda: _sts().assume_role(**asked)).body
    if f":{role.account}:" not in body["AssumedRoleUser"]["Arn"]:
        raise WrongAccount(f"{role.arn} is not in account {role.account}")
    given = body["Credentials"]
    return _Credentials(
        key=given["AccessKeyId"],
        secret=given["SecretAccessKey"],
        token=given["SessionToken"],
        until=clock.now() + timedelta(seconds=SESSION_SECONDS),
    )


def _sts() -> Any:
    """The hub's own client, with whatever credentials the process was given."""
    key = ("sts", "hub", False)
    with _lock:
        if key not in _clients:
            _clients[key] = boto3.session.Session().client("sts", region_name="us-east-1", config=_READS)
        return _clients[key]


def _own_client(*, service: str, region: str) -> Any:
    """A client with whatever credentials the process was given, as boto3 finds them."""
    key = (f"own {service}", region, False)
    with _lock:
        if key not in _clients:
            try:
                _clients[key] = boto3.session.Session().client(service, region_name=region, config=_OWN)
            except (BotoCoreError, ValueError) as unfit:  # a region that cannot be one
                raise AwsError("NoClient", str(unfit)) from unfit
        return _clients[key]


def _client(*, service: str, region: str, once: bool) -> Any:
    key = (service, region, once)
    # Making a client is not safe in several threads at once; using one is.
    with _lock:
        if key not in _clients:
            boto = boto3.session.Session()
            boto._session._credentials = _ActingCredentials()  # noqa: SLF001 - botocore's usual, only way in
            try:
                _clients[key] = boto.client(service, region_name=region, config=_ONCE if once else _READS)
            except UnknownServiceError as unknown:
                raise AwsError("UnknownService", str(unknown)) from unknown
            if endpoint():
                _clients[key].meta.events.register("before-sign.s3-control", _without_account)
        return _clients[key]


def _without_account(request: Any, **_: Any) -> None:
    """S3's control plane has the account in its host's name, which only the real AWS's names resolve for."""
    request.url = re.sub(r"^(https?://)\d{12}\.", r"\1", request.url)


def _method(client: Any, operation: str) -> str:
    for method, name in client.meta.method_to_api_mapping.items():
        if name == operation:
            return str(method)
    raise AwsError("UnknownOperation", f"{client.meta.service_model.service_name} has no {operation}")


def _told(call: Any) -> Answer:
    try:
        answer = call()
    except ClientError as refusal:
        error = refusal.response.get("Error", {})
        about = refusal.response.get("ResponseMetadata", {})
        status = int(about.get("HTTPStatusCode") or 0)
        # A throttled call is answered 503 by some services and is known not to have been applied.
        if status >= 500 and not is_throttling(error.get("Code", "")):
            raise NoAnswer(f"{status} {error.get('Code', '')}") from refusal
        raise AwsError(
            str(error.get("Code", "")),
            str(error.get("Message", "")),
            status=status,
            request_id=str(about.get("RequestId", "")),
        ) from refusal
    except ParamValidationError as invalid:
        raise AwsError("ParamValidation", str(invalid)) from invalid
    except BotoCoreError as silence:
        raise NoAnswer(str(silence)) from silence
    about = answer.pop("ResponseMetadata", {})
    return Answer(body=_plain(answer), request_id=str(about.get("RequestId", "")))


def is_throttling(code: str) -> bool:
    """Whether an error code says that the call came too fast and was not carried out."""
    return code.startswith(("Throttl", "TooManyRequests")) or code in (
        "RequestLimitExceeded",
        "SlowDown",
        "RequestThrottled",
        "RequestThrottledException",
    )


def _plain(value: Any) -> JSON:
    if isinstance(value, dict):
        return {str(key): _plain(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(member) for member in value]
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if isinstance(value, float):
        return int(value) if value.is_integer() else repr(value)
    if value is None or isinstance(value, bool | int | str):
        return value
    return str(value)
