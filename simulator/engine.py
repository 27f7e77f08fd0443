"""moto as one function from request to answer, and its whole state as bytes.

There is one moto per process, so there is one simulated AWS per process.
"""

from __future__ import annotations

import io
import os
import pickle  # noqa: TID251  # moto's objects have no other form; _Unpickler reads only them
import re
import sys
import threading
import traceback
import weakref
from collections import defaultdict
from collections.abc import Callable, Mapping
from importlib.metadata import version
from types import FunctionType, MethodType
from typing import Any

# moto reads these when it is imported or when a backend is first built.
os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"
os.environ["MOTO_IAM_LOAD_MANAGED_POLICIES"] = "true"
os.environ["MOTO_S3_ALLOW_CROSSACCOUNT_ACCESS"] = "false"
os.environ["MOTO_S3_DEFAULT_KEY_BUFFER_SIZE"] = str(64 * 1024 * 1024)

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)
from moto.backends import get_backend
from moto.core.base_backend import AccountSpecificBackend, BackendDict, BaseBackend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.organizations.models import organizations_backends
from moto.s3.models import s3_backends

from simulator import patches
from simulator.patches import sessions
from simulator.wire import Answer, Call, Refusal, collect, refuse

NOT_SUPPORTED = "NotImplementedBySimulator"
# moto answers these with the same made-up credentials for everyone, or not as AWS would.
NEVER_ANSWERED = frozenset(
    {
        "iam:SimulateCustomPolicy",
        "iam:SimulatePrincipalPolicy",
        "sts:AssumeRoleWithSAML",
        "sts:AssumeRoleWithWebIdentity",
        "sts:GetFederationToken",
        "sts:GetSessionToken",
    }
)
STATE_VERSION = f"1/moto {version('moto')}/python {sys.version_info.major}.{sys.version_info.minor}"

patches.apply()


class CannotKeepError(Exception):
    """moto holds an object that cannot be written down."""


class _Dispatcher(DomainDispatcherApplication):
    """moto's, remembering which service a host belongs to: it tries some 200 patterns per request."""

    def __init__(self) -> None:
        super().__init__(create_backend_app)
        self._hosts: dict[str, Any] = {}

    def get_backend_for_host(self, host: str | None) -> Any:
        """The service behind a host name, or None."""
        if host is None:
            return None
        if host not in self._hosts:
            self._hosts[host] = super().get_backend_for_host(host)
        return self._hosts[host]


_NO_ID = re.compile(rb"(<[Rr]equest(?:Id|ID)>)request-id(</[Rr]equest(?:Id|ID)>)")
_application = _Dispatcher()
# What moto keeps beside the accounts: who owns a bucket name, and whose organization an account is in.
_OWNERS: tuple[dict[str, Any], ...] = (s3_backends.bucket_accounts, organizations_backends.master_accounts)


def serve(call: Call, account: str) -> Answer:
    """Let moto serve a call on behalf of an account.

    A call moto does not know is answered as an AWS error with code NotImplementedBySimulator and
    status 400: definite, so that no client retries it. A crash of moto is InternalFailure, 500.
    """
    if call.name in NEVER_ANSWERED:
        return not_supported(call)
    heads: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], _: object = None) -> Any:
        heads.append((status, headers))
        return lambda _: None

    source = sessions.requested_source_identity.set(call.form.get("SourceIdentity", ""))
    narrowed = sessions.requested_policy.set(call.form.get("Policy", ""))
    try:
        body = collect(_application(call.wsgi_environ(account), start_response))
    except Exception as error:  # noqa: BLE001  # moto may fail in any way; the caller gets AWS's shape
        return crashed(call, error)
    finally:
        sessions.requested_source_identity.reset(source)
        sessions.requested_policy.reset(narrowed)
    status, headers = heads[-1]
    answer = _numbered(Answer(int(status.split()[0]), tuple(headers), body), call)
    return not_supported(call) if _is_html_error(answer) else answer


def _numbered(answer: Answer, call: Call) -> Answer:
    """The answer with the request's own id where moto writes the same word into all."""
    written = _NO_ID.sub(rb"\g<1>" + call.request_id.encode() + rb"\g<2>", answer.body)
    if written == answer.body:
        return answer
    headers = tuple(
        (name, str(len(written)) if name.lower() == "content-length" else value)
        for name, value in answer.headers
    )
    return Answer(answer.status, headers, written)


def not_supported(call: Call) -> Answer:
    """The answer to what this simulator does not simulate."""
    return refuse(
        call, Refusal(400, NOT_SUPPORTED, f"{call.name} is not simulated here; this says nothing about AWS.")
    )


def crashed(call: Call, error: Exception) -> Answer:
    """The answer to a call that broke the simulator; the trace goes to the terminal."""
    if isinstance(error, NotImplementedError) or type(error).__name__ == "OperationNotFoundError":
        return not_supported(call)
    traceback.print_exception(error, file=sys.stderr)
    return refuse(
        call, Refusal(500, "InternalFailure", f"the simulator failed on {call.name}: {type(error).__name__}")
    )


def _is_html_error(answer: Answer) -> bool:
    """Whether moto's web framework answered, not AWS: S3 objects may be HTML, errors never are."""
    return answer.status >= 400 and (
        answer.header("content-type").startswith("text/html")
        and b"<!doctype html" in answer.body[:200].lower()
    )


def dump() -> bytes:
    """Everything moto holds. Raises CannotKeepError if something in it has no lasting form."""
    backends = {
        (registry.service_name, account, region): backend
        for registry in _registries()
        for account, region, backend in registry.iter_backends()
    }
    state = {"backends": backends, "owners": [dict(owners) for owners in _OWNERS]}
    out = io.BytesIO()
    try:
        _Pickler(out, protocol=5).dump(state)
        # What cannot be read again must not replace what can.
        _Unpickler(io.BytesIO(out.getvalue())).load()
    except (pickle.PickleError, TypeError, AttributeError, ValueError) as error:
        raise CannotKeepError(str(error)) from error
    return out.getvalue()


def _registries() -> list[Any]:
    """moto's list of registries in use; emptied in place."""
    found: list[Any] = vars(BackendDict)["_instances"]
    return found


def load(state: bytes) -> None:
    """Replace everything moto holds by an earlier `dump`."""
    wanted: Mapping[str, Any] = _Unpickler(io.BytesIO(state)).load()
    forget()
    known = _Registries()
    for (service, account, region), backend in wanted["backends"].items():
        dict.__setitem__(known[service][account], region, backend)
        _announce(backend)
    for owners, kept in zip(_OWNERS, wanted["owners"], strict=True):
        owners.update(kept)
    sessions.reindex()


def forget() -> None:
    """Empty moto."""
    for registry in list(_registries()):
        registry.clear()
    _registries().clear()
    for owners in _OWNERS:
        owners.clear()
    sessions.reindex()


def _announce(backend: BaseBackend) -> None:
    """Tell a backend's class of it: EC2 looks there for the VPCs of other accounts and regions."""
    for name in ("vpc_refs", "vpc_pcx_refs", "backend_refs"):
        if hasattr(backend, name):
            getattr(backend, name)[type(backend)].add(weakref.ref(backend))


class _Registries(dict[str, Any]):
    """moto's registries by service name; loads the modules of services not used yet."""

    def __missing__(self, service: str) -> Any:
        found = get_backend(service)  # type: ignore[call-overload]
        self[service] = found
        return found


# Locks are made anew; nobody holds one while the state is written.
_LOCKS: Mapping[type[Any], Callable[[], Any]] = {
    type(make()): make for make in (threading.Lock, threading.RLock, threading.Condition, threading.Event)
}


def _bound_method(owner: Any, name: str) -> Any:
    """A method of a moto object; pickle's own way would need `getattr` on anything."""
    if type(owner).__module__.split(".")[0] != "moto" or name.startswith("__"):
        raise pickle.UnpicklingError(f"{name} is not a method of moto's")
    return getattr(owner, name)


def _bare_defaultdict(kind: type[Any], factory: Any) -> Any:
    """A subclass of defaultdict whose own constructor asks for more."""
    made: Any = dict.__new__(kind)
    defaultdict.__init__(made, factory)
    return made


def _dict_of_dicts() -> Any:
    return defaultdict(dict)


# Anonymous default factories in moto's state, and what makes the same.
_FACTORIES: Mapping[str, Callable[[], Any]] = {
    "LambdaStorage.__init__.<locals>.<lambda>": dict,
    "SimpleSystemManagerBackend.__init__.<locals>.<lambda>": _dict_of_dicts,
    "_dict_of_dicts": _dict_of_dicts,
}


class _Pickler(pickle.Pickler):
    def persistent_id(self, obj: Any) -> Any:
        """Registries are moto's, not state; they are named, not copied."""
        if isinstance(obj, BackendDict):
            return ("registry", obj.service_name)
        if isinstance(obj, AccountSpecificBackend):
            return ("account", obj.service_name, obj.account_id)
        if isinstance(obj, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
            return ("private key", obj.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))
        if type(obj) in _LOCKS:
            return ("lock", type(obj).__name__)
        if isinstance(obj, FunctionType) and obj.__qualname__ in _FACTORIES:
            return ("factory", obj.__qualname__)
        return None

    def reducer_override(self, obj: Any) -> Any:
        """A weak dictionary as its items, a bound method as its name; everything else as usual."""
        if isinstance(obj, weakref.WeakValueDictionary):
            return weakref.WeakValueDictionary, (), None, None, iter(list(obj.items()))
        if isinstance(obj, defaultdict) and type(obj) is not defaultdict:
            return (
                _bare_defaultdict,
                (type(obj), obj.default_factory),
                vars(obj),
                None,
                iter(list(obj.items())),
            )
        if isinstance(obj, MethodType):
            return _bound_method, (obj.__self__, obj.__func__.__name__)
        return NotImplemented


class _Unpickler(pickle.Unpickler):
    """Reads only moto's classes and plain Python values: the file lies in the user's data directory."""

    def persistent_load(self, pid: Any) -> Any:
        """The inverse of `persistent_id`."""
        if pid[0] == "private key":
            return load_der_private_key(pid[1], None)
        if pid[0] == "lock":
            return next(make() for kind, make in _LOCKS.items() if kind.__name__ == pid[1])
        if pid[0] == "factory":
            return _FACTORIES[pid[1]]
        registry = _Registries()[pid[1]]
        return registry if pid[0] == "registry" else registry[pid[2]]

    def find_class(self, module: str, name: str) -> Any:
        """Refuse anything that is not a class of moto or a plain container."""
        ours = module.split(".", maxsplit=1)[0] == "moto"
        if ours or (module, name) in _PLAIN:
            found = super().find_class(module, name)
            if isinstance(found, type) or not ours:
                return found
        raise pickle.UnpicklingError(f"{module}.{name} has no place in the simulator's state")


_PLAIN = frozenset(
    {
        ("builtins", "set"),
        ("builtins", "frozenset"),
        ("builtins", "dict"),
        ("builtins", "list"),
        ("builtins", "bytearray"),
        ("builtins", "range"),
        ("builtins", "complex"),
        ("builtins", "object"),
        ("collections", "OrderedDict"),
        ("collections", "defaultdict"),
        ("collections", "deque"),
        ("datetime", "datetime"),
        ("datetime", "date"),
        ("datetime", "timedelta"),
        ("datetime", "timezone"),
        ("decimal", "Decimal"),
        ("uuid", "UUID"),
        ("random", "Random"),
        ("weakref", "WeakValueDictionary"),
        ("re", "_compile"),
        ("ipaddress", "IPv4Network"),
        ("ipaddress", "IPv4Address"),
        ("ipaddress", "IPv6Network"),
        ("ipaddress", "IPv6Address"),
        ("simulator.engine", "_bound_method"),
        ("simulator.engine", "_bare_defaultdict"),
        ("requests.structures", "CaseInsensitiveDict"),
    }
)
