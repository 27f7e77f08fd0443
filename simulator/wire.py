"""What an AWS request says, and how AWS would say no.

One request, whatever its protocol (EC2 and IAM query strings, JSON, REST), becomes a `Call`; one
refusal becomes an error body of the right protocol, so that boto3 raises ClientError with its code.
"""

from __future__ import annotations

import base64
import io
import json
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any
from urllib.parse import parse_qsl
from uuid import uuid4
from xml.sax.saxutils import escape

from botocore.exceptions import UnknownServiceError
from botocore.model import OperationNotFoundError
from botocore.parsers import create_parser
from moto.core.model import OperationModel, ServiceModel
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import Request
from moto.core.routing import get_service_router
from moto.core.utils import get_service_model
from werkzeug.exceptions import HTTPException

# Signing names that are not botocore's service names. Query services that share one are told apart
# by their API version.
MODEL_NAMES: Mapping[str, str] = {
    "access-analyzer": "accessanalyzer",
    "email": "ses",
    "elasticloadbalancing": "elbv2",
    "monitoring": "cloudwatch",
    "sso": "sso-admin",
    "states": "stepfunctions",
    "tagging": "resourcegroupstaggingapi",
}
READ_PREFIXES = (
    "BatchGet",
    "Check",
    "Decode",
    "Describe",
    "Download",
    "Estimate",
    "Get",
    "Head",
    "List",
    "Lookup",
    "Query",
    "Scan",
    "Search",
    "Select",
    "Test",
    "Validate",
    "Verify",
)
# No state is left behind by these; CloudTrail calls them read-only although their names do not say so.
STATELESS = frozenset(
    {
        "Decrypt",
        "Encrypt",
        "GenerateDataKey",
        "GenerateDataKeyWithoutPlaintext",
        "GenerateRandom",
        "ReEncrypt",
        "Sign",
    }
)
CREDENTIAL = re.compile(r"Credential=([^/,\s]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request")
SECRET_NAMES = frozenset(
    {
        "password",
        "plaintext",
        "secretaccesskey",
        "secretbinary",
        "secretstring",
        "sessiontoken",
        "newpassword",
        "oldpassword",
        "masteruserpassword",
        "userdata",
    }
)


@dataclass(frozen=True)
class Refusal(Exception):  # AWS refused; nothing went wrong
    """An answer of AWS that is an error: HTTP status, code and message, and what decided it."""

    status: int
    code: str
    message: str
    decided_by: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """A response: status code, headers in order, whole body."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str:
        """The first header of that name, or an empty string."""
        return next((value for key, value in self.headers if key.lower() == name), "")


@dataclass(frozen=True)
class Call:
    """One request to the simulated AWS."""

    environ: Mapping[str, Any]
    body: bytes
    service: str
    region: str
    access_key: str
    session_token: str
    request_id: str = field(default_factory=lambda: str(uuid4()))
    received_at: float = field(default_factory=time.time, compare=False)

    @classmethod
    def read(cls, environ: Mapping[str, Any]) -> Call:
        """Read a WSGI request, body included. A request without a signature has no access key."""
        body = _read_body(environ)
        query = dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True))
        presigned = query.get("X-Amz-Credential", "")
        scope = CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", "")) or CREDENTIAL.search(
            f"Credential={presigned}"
        )
        token = environ.get("HTTP_X_AMZ_SECURITY_TOKEN") or query.get("X-Amz-Security-Token", "")
        # Without a scope only a pre-signed S3 URL in the older form can name a key.
        older = (query.get("AWSAccessKeyId", ""), "us-east-1", "s3")
        key, region, service = (scope[1], scope[3], scope[4].lower()) if scope else older
        if service == "s3" and environ["PATH_INFO"].startswith("/v20180820/"):
            service = "s3control"
        return cls(
            environ=environ, body=body, service=service, region=region, access_key=key, session_token=token
        )

    @cached_property
    def form(self) -> dict[str, str]:
        """Parameters of a query-string request, flat; empty for other protocols."""
        text = self.environ.get("QUERY_STRING", "")
        if "form-urlencoded" in self.environ.get("CONTENT_TYPE", ""):
            text = self.body.decode("utf-8", "replace")
        return dict(parse_qsl(text, keep_blank_values=True))

    @cached_property
    def target(self) -> str:
        """The X-Amz-Target header of a JSON request."""
        return str(self.environ.get("HTTP_X_AMZ_TARGET", ""))

    @cached_property
    def model(self) -> ServiceModel | None:
        """botocore's description of the service, if it has one."""
        name = MODEL_NAMES.get(self.service, self.service)
        if self.service == "elasticloadbalancing" and self.form.get("Version") == "2012-06-01":
            name = "elb"
        return _service_model(name)

    @cached_property
    def protocol(self) -> str:
        """`query`, `ec2`, `json`, `rest-json`, `rest-xml` or `smithy-rpc-v2-cbor`."""
        if self.environ.get("HTTP_SMITHY_PROTOCOL") == "rpc-v2-cbor":
            return "smithy-rpc-v2-cbor"
        if self.target:
            return "json"
        if self.service == "ec2":
            return "ec2"
        if "Action" in self.form and self.service not in ("s3", "s3control"):
            return "query"
        return str(self.model.metadata.get("protocol", "rest-json")) if self.model else "rest-json"

    @cached_property
    def _routed(self) -> tuple[str, Mapping[str, Any]]:
        """Operation and path labels of a REST request, from the service model's routes."""
        where = f"{self.environ['REQUEST_METHOD']} {self.environ['PATH_INFO']}"
        if self.model is None:
            return where, {}
        try:
            operation, labels = get_service_router(self.model.service_name).match(self._moto_request())
        except (HTTPException, NotImplementedError):
            return where, {}
        return str(operation.name), labels

    @cached_property
    def operation(self) -> str:
        """The API operation, such as `StopInstances`."""
        if self.target:
            return self.target.rsplit(".", 1)[-1]
        if self.protocol in ("query", "ec2"):
            return self.form.get("Action", "")
        if self.protocol == "smithy-rpc-v2-cbor":
            return str(self.environ["PATH_INFO"]).rsplit("/", 1)[-1]
        return self._routed[0]

    @property
    def name(self) -> str:
        """`service:Operation`, which fault rules match."""
        return f"{self.service}:{self.operation}"

    @cached_property
    def read_only(self) -> bool:
        """As CloudTrail's `readOnly`; AssumeRole is read-only there."""
        return (
            self.operation.startswith(READ_PREFIXES)
            or self.operation in STATELESS
            or self.operation == "AssumeRole"
        )

    @cached_property
    def changes_state(self) -> bool:
        """Whether a later call could see that this one happened."""
        return self.operation == "AssumeRole" or not self.read_only

    @property
    def source_address(self) -> str:
        """The caller's address. Every caller is on this machine, so the story's attacker names one."""
        return str(self.environ.get("HTTP_X_QUELL_SOURCE_IP") or self.environ.get("REMOTE_ADDR", ""))

    @property
    def dry_run(self) -> bool:
        """Whether this EC2 request only asks for permission."""
        return self.service == "ec2" and self.form.get("DryRun", "").lower() == "true"

    @cached_property
    def operation_model(self) -> OperationModel | None:
        """botocore's description of the operation, if it has one."""
        try:
            return self.model.operation_model(self.operation) if self.model else None
        except OperationNotFoundError:
            return None

    def parameters(self) -> dict[str, Any]:
        """The request's parameters as CloudTrail shows them: lowerCamel, without secrets or bodies."""
        parser = PROTOCOL_PARSERS.get(self.protocol)
        if parser is None or self.operation_model is None:
            return dict(_shown(self.form))
        request = self._moto_request()
        labels = self._routed[1] if self.protocol.startswith("rest") else {}
        try:
            parsed = parser(self.operation_model).parse(
                {
                    "method": request.method,
                    "values": request.values,
                    "headers": request.headers,
                    "body": b""
                    if self.service == "s3" and self.operation in ("PutObject", "UploadPart")
                    else request.data,
                    "url_path": request.path,
                    "url_params": dict(labels),
                }
            )
        except Exception as error:  # noqa: BLE001  # a malformed request is logged as such, moto refuses it
            return {"unreadable": f"{type(error).__name__}: {error}"}
        shown: dict[str, Any] = _shown(parsed)
        if self.service == "s3" and "bucket" in shown:
            shown["bucketName"] = shown.pop("bucket")
        return shown

    def read_answer(self, answer: Answer) -> dict[str, Any]:
        """The response as botocore reads it: output members, or `Error` with Code and Message."""
        shape = self.operation_model.output_shape if self.operation_model else None
        protocol = self.protocol if self.protocol != "smithy-rpc-v2-cbor" else "json"
        response = {
            "status_code": answer.status,
            "headers": {key.lower(): value for key, value in answer.headers},
            "body": answer.body,
        }
        parsed: dict[str, Any] = create_parser(protocol).parse(response, shape)
        return parsed

    def response_elements(self, answer: Answer) -> dict[str, Any] | None:
        """What CloudTrail shows of a write's response, or None."""
        parsed = self.read_answer(answer)
        parsed.pop("ResponseMetadata", None)
        return _shown(parsed) or None

    def wsgi_environ(self, account: str) -> dict[str, Any]:
        """The request for moto, on behalf of an account."""
        environ = {key: value for key, value in self.environ.items() if key != "HTTP_TRANSFER_ENCODING"}
        environ["wsgi.input"] = io.BytesIO(self.body)
        environ["CONTENT_LENGTH"] = str(len(self.body))
        environ["HTTP_X_MOTO_ACCOUNT_ID"] = account
        return environ

    def _moto_request(self) -> Request:
        return Request(self.wsgi_environ(""))


def _read_body(environ: Mapping[str, Any]) -> bytes:
    source = environ["wsgi.input"]
    if environ.get("HTTP_TRANSFER_ENCODING", "").lower() == "chunked":
        return bytes(source.read())
    length = int(environ.get("CONTENT_LENGTH") or 0)
    return bytes(source.read(length)) if length else b""


@cache
def _service_model(name: str) -> ServiceModel | None:
    try:
        return get_service_model(name)
    except UnknownServiceError:
        return None


def _lower_camel(name: str) -> str:
    return name[:1].lower() + name[1:]


def _shown(value: Any) -> Any:
    """A parsed value made fit for the log."""
    if isinstance(value, Mapping):
        return {
            _lower_camel(str(key)): _shown(item)
            for key, item in value.items()
            if item is not None and not _is_secret(str(key), item)
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [_shown(item) for item in value]
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return value if isinstance(value, str | int | float | bool) else str(value)


def _is_secret(key: str, value: Any) -> bool:
    return (
        key.lower().replace("_", "") in SECRET_NAMES
        or isinstance(value, bytes | bytearray)
        or hasattr(value, "read")
    )


def refuse(call: Call, refusal: Refusal) -> Answer:
    """The error response that boto3 turns into ClientError with that code."""
    code, message, request_id = refusal.code, refusal.message, call.request_id
    headers: list[tuple[str, str]] = [("x-amzn-RequestId", request_id)]
    if call.protocol in ("json", "rest-json"):
        headers += [("Content-Type", "application/x-amz-json-1.1"), ("x-amzn-ErrorType", code)]
        if call.model and "awsQueryCompatible" in call.model.metadata:
            headers.append(("x-amzn-query-error", f"{code};Sender"))
        body = json.dumps({"__type": code, "message": message}).encode()
    elif call.protocol == "smithy-rpc-v2-cbor":
        headers += [("Content-Type", "application/cbor"), ("smithy-protocol", "rpc-v2-cbor")]
        body = _cbor_map({"__type": code, "message": message})
    else:
        headers.append(("Content-Type", "text/xml"))
        body = _xml_error(call, escape(code), escape(message), request_id).encode()
    if call.environ.get("REQUEST_METHOD") == "HEAD":
        body = b""
    return Answer(refusal.status, (*headers, ("Content-Length", str(len(body)))), body)


def _xml_error(call: Call, code: str, message: str, request_id: str) -> str:
    inner = f"<Code>{code}</Code><Message>{message}</Message>"
    if call.protocol == "ec2":
        return (
            f"<Response><Errors><Error>{inner}</Error></Errors><RequestID>{request_id}</RequestID></Response>"
        )
    if call.service == "s3":
        return f"<Error>{inner}<RequestId>{request_id}</RequestId></Error>"
    sent = f"<Error><Type>Sender</Type>{inner}</Error>"
    return f"<ErrorResponse>{sent}<RequestId>{request_id}</RequestId></ErrorResponse>"


def _cbor_text(text: str) -> bytes:
    raw = text.encode()
    return b"\x79" + len(raw).to_bytes(2, "big") + raw


def _cbor_map(members: Mapping[str, str]) -> bytes:
    """A CBOR map of a few short strings (RFC 8949 §3.1)."""
    return bytes([0xA0 + len(members)]) + b"".join(
        _cbor_text(key) + _cbor_text(value) for key, value in members.items()
    )


def kept_environ(environ: Mapping[str, Any]) -> dict[str, str]:
    """The part of a WSGI environment that moto needs to serve the same request again."""
    names = (
        "REQUEST_METHOD",
        "PATH_INFO",
        "QUERY_STRING",
        "RAW_URI",
        "CONTENT_TYPE",
        "SERVER_NAME",
        "SERVER_PORT",
        "SERVER_PROTOCOL",
        "wsgi.url_scheme",
        "SCRIPT_NAME",
    )
    return {
        key: value
        for key, value in environ.items()
        if isinstance(value, str) and (key in names or key.startswith("HTTP_"))
    }


def encode_body(body: bytes) -> dict[str, str]:
    """A body as JSON members: text if it is UTF-8, else base64."""
    try:
        return {"text": body.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(body).decode()}


def decode_body(members: Mapping[str, Any]) -> bytes:
    """The inverse of `encode_body`."""
    return members["text"].encode() if "text" in members else base64.b64decode(members["base64"])


def collect(chunks: Iterable[bytes]) -> bytes:
    """A WSGI response body as one piece, closed."""
    try:
        return b"".join(chunks)
    finally:
        close = getattr(chunks, "close", None)
        if close is not None:
            close()
