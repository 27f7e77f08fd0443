"""Calls into the simulated AWS from inside, without HTTP and without boto3's clients.

A boto3 client per account, region and service costs more time than the whole estate takes to
build. This serialises with botocore's own models, so what is sent is what boto3 would send.
"""

from __future__ import annotations

import io
from typing import Any

from botocore.serialize import create_serializer
from moto.core.utils import get_service_model
from werkzeug.urls import iri_to_uri

from simulator import engine
from simulator.wire import Call


class Direct:
    """Call operations as an account's root: `aws("ec2", "StopInstances", InstanceIds=[…])`."""

    def __init__(self, account: str, region: str) -> None:
        self.account = account
        self.region = region

    def __call__(self, service: str, operation: str, **parameters: Any) -> dict[str, Any]:
        """The operation's output members. Raises RuntimeError with AWS's code if it is refused."""
        call = Call.read(_environ(service, operation, parameters, self.region))
        answer = engine.serve(call, self.account)
        output = call.read_answer(answer)
        if answer.status >= 400:
            raise RuntimeError(f"{call.name} in {self.account}: {output.get('Error')}")
        return output


def _environ(service: str, operation: str, parameters: dict[str, Any], region: str) -> dict[str, Any]:
    model = get_service_model(service)
    protocol = model.resolved_protocol if service not in ("kms", "organizations") else "json"
    request = create_serializer(protocol).serialize_to_request(parameters, model.operation_model(operation))
    body, content_type = _body(request["body"])
    headers = {**request["headers"]}
    path, _, query = request["url_path"].partition("?")
    query = "&".join(part for part in (query, _query(request["query_string"])) if part)
    scope = f"AKIAESTATEBUILDER000/20260101/{region}/{model.signing_name}/aws4_request"
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request["method"],
        "PATH_INFO": path,
        "RAW_URI": iri_to_uri(path) + (f"?{query}" if query else ""),
        "QUERY_STRING": query,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.url_scheme": "http",
        "HTTP_HOST": "127.0.0.1",
        "HTTP_AUTHORIZATION": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0",
        "CONTENT_TYPE": headers.pop("Content-Type", content_type),
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
    }
    environ.update({f"HTTP_{name.upper().replace('-', '_')}": str(value) for name, value in headers.items()})
    return environ


def _body(body: Any) -> tuple[bytes, str]:
    if isinstance(body, dict):
        from botocore.compat import urlencode

        return urlencode(body).encode(), "application/x-www-form-urlencoded; charset=utf-8"
    return (body.encode() if isinstance(body, str) else bytes(body or b"")), "application/octet-stream"


def _query(query: Any) -> str:
    if isinstance(query, dict):
        from botocore.compat import urlencode

        return str(urlencode(query))
    return str(query or "")
