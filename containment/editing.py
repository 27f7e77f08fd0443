"""Read, change our members, write: the executor's own edit of a document that others edit too.

The plan holds only the difference. Document and lock token are read in the same breath, immediately
before the call.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import jmespath

from containment.looking import Reader, resolve, resolved_call, resolved_read
from containment.types import Call, Edit
from lib import canonical
from lib.canonical import JSON


def edited(edit: Edit, call: Call, *, eyes: Reader, results: Mapping[str, JSON], at: datetime) -> Call:
    """The call with the whole document in it: as read just now, less `remove`, plus `add`.

    Raises `lib.aws.AwsError`, `lib.aws.NoAnswer` and `looking.Missing`.
    """
    document = eyes.read(resolved_read(edit.read, results=results))
    present = jmespath.search(edit.at, document) if document is not None else None
    members = list(present if isinstance(present, list) else [present] if present else [])
    add = resolve(list(edit.add), results=results, at=at)
    remove = resolve(list(edit.remove), results=results, at=at)
    replaced = {_identity(edit, member) for member in [*add, *remove]}
    members = [member for member in members if _identity(edit, member) not in replaced] + add
    tokens = {parameter: jmespath.search(path, document) for parameter, path in edit.token.items()}
    if not members and edit.empty:
        nothing = resolved_call(edit.empty, results=results, at=at)
        return replace(nothing, params={**nothing.params, **tokens})
    params = {**_placed(call.params, edit.into, _body(edit, document, members)), **tokens}
    for parameter, path in edit.copy.items():
        value = jmespath.search(path, document)
        if value:
            params = _placed(params, parameter, value)
    return replace(call, params=params)


def reversed_edit(edit: Edit) -> Edit:
    """The opposite edit, of our members only."""
    return replace(edit, add=edit.remove, remove=edit.add)


def _placed(params: Mapping[str, Any], into: str, body: Any) -> dict[str, Any]:
    """The parameters with the body at a dotted path (`Attributes.Policy`)."""
    first, _, rest = into.partition(".")
    return {**params, first: _placed(params.get(first) or {}, rest, body) if rest else body}


def _identity(edit: Edit, member: Any) -> str:
    return canonical.dumps(member.get(edit.id) if edit.id and isinstance(member, dict) else member)


def _body(edit: Edit, document: JSON, members: list[Any]) -> Any:
    if not edit.text:
        return members
    *parents, last = edit.at.split(".")
    around = jmespath.search(".".join(parents) or "@", document) if document is not None else None
    return canonical.dumps({**(around or edit.seed or {}), last: members})
