"""The pages of `docs/actions/` and `docs/iam/`, from the catalogue. Pure; the command writes them."""

from __future__ import annotations

import ast
import inspect
import json
import sys
import textwrap
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

from containment import grants, stacks
from containment.actions import catalogue
from containment.describing import ActionType
from containment.parameters import schema

MADE = "Made by `./quell manage catalog` from the code; edit the action types instead.\n"
TIERS = {
    0: "0, evidence and write-back: needs no approval",
    1: "1, reversible: the responder's own confirmation",
    2: "2, disruptive: a second person",
    3: "3, irreversible: two persons besides the requester, never automatic",
}
OF_LEVELS = {
    grants.READ: "looks, and changes nothing",
    grants.EVIDENCE: "makes copies and protects what is there from loss",
    grants.CONTAIN: "contains, without writing IAM documents",
    grants.CONTAIN_IAM: "contains, IAM documents included",
    grants.ORGANIZATION: "acts on the organization, in the management account's stack only",
}


def files() -> Iterator[tuple[str, str]]:
    """Path below the checkout and text of every generated file, the same each time."""
    types = list(catalogue())
    yield "docs/actions/README.md", _index(types)
    for declared in types:
        yield f"docs/actions/{declared.id}.md", page(declared)
    yield "docs/iam/README.md", _levels(types)
    for level in grants.LEVELS:
        for name, document in stacks.numbered(level):
            yield f"docs/iam/{name}.json", _json(document)
    yield "docs/iam/quell-trust-guard.json", _json(grants.guard())
    for name, text in stacks.files():
        yield f"deploy/roles/{name}", text


def page(declared: type[ActionType]) -> str:
    """One action type for whoever decides about it."""
    first = " ".join((declared.__doc__ or "").split("\n\n")[0].split())
    parts = [
        f"# {declared.title}: {declared.id}\n",
        f"{first}\n",
        _facts(declared),
        f"## Does not stop\n\n{_sentence(declared.does_not_stop())}\n",
        f"## What else is touched\n\n{_affects(declared)}",
        f"## Parameters\n\n{_parameters(declared)}",
        f"## Undo\n\n{_undo(declared)}\n",
        f"## Reads\n\n{_operations(declared.reads)}## Writes\n\n{_operations(declared.writes)}",
        f"## By hand\n\n{_by_hand(declared)}",
        MADE,
    ]
    return "\n".join(parts)


def affected(declared: type[ActionType]) -> list[tuple[str, str]]:
    """What `affects` may say, as its source says it; values known only at run time are `…`."""
    tree = ast.parse(inspect.getsource(_module(declared)))
    known = dict(_named_texts(tree))
    found: dict[tuple[str, str], None] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Affected":
            said = {one.arg: _words(one.value, known) for one in node.keywords}
            found[said.get("what", "…"), said.get("then", "…")] = None
    return [one for one in found if one != ("…", "…")]


def has_undo(declared: type[ActionType]) -> bool:
    """Whether its steps bring an undo: a call of their own, or an edit, which is undone by its opposite.

    Read from the source of the type's module and of the building blocks that it uses.
    """
    if declared.tier == 3:  # what that means; it may share building blocks with types that have one
        return False
    waiting: list[Any] = [_module(declared)]
    seen: set[int] = set()
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        tree = ast.parse(textwrap.dedent(inspect.getsource(one)))
        if any(_gives_undo(node) for node in ast.walk(tree)):
            return True
        waiting += _used(tree, vars(inspect.getmodule(one)))
    return False


def _gives_undo(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    edits = isinstance(node.func, ast.Attribute) and node.func.attr == "edit"
    return edits or any(
        one.arg == "undo" and not (isinstance(one.value, ast.Constant) and one.value.value is None)
        for one in node.keywords
    )


def _used(tree: ast.AST, known: Mapping[str, Any]) -> Iterator[Any]:
    """The functions and classes of the catalogue's building blocks that a piece of source names."""
    for node in ast.walk(tree):
        value = known.get(node.id) if isinstance(node, ast.Name) else _member(node, known)
        module = getattr(value, "__module__", "") or ""
        if module.startswith("containment.actions.") and (
            inspect.isfunction(value) or inspect.isclass(value)
        ):
            yield value


def _member(node: ast.AST, known: Mapping[str, Any]) -> Any:
    """What `module.name` means, where the module is imported whole."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        module = known.get(node.value.id)
        if isinstance(module, ModuleType):
            return getattr(module, node.attr, None)
    return None


def _module(declared: type[ActionType]) -> ModuleType:
    return sys.modules[declared.__module__]


def _named_texts(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Names that the source gives to a text, with the text."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            text = _words(node.value, {})
            if text.strip("…"):
                yield node.targets[0].id, text


def _words(node: ast.expr, known: Mapping[str, str]) -> str:
    if isinstance(node, ast.Name):
        return known.get(node.id, "…")
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(str(one.value) if isinstance(one, ast.Constant) else "…" for one in node.values)
    if isinstance(node, ast.IfExp):
        return f"{_words(node.body, known)} or {_words(node.orelse, known)}"
    return "…"


def _index(types: list[type[ActionType]]) -> str:
    rows = [
        f"| [{one.id}]({one.id}.md) | {one.title} | {one.target} | {one.category.value} | {one.tier}"
        f" | {grants.level_of(one)} |"
        for one in types
    ]
    head = "| Id | Title | Target | Category | Tier | Level of trust |\n|---|---|---|---|---|---|"
    return f"# Action types\n\n{len(types)} types. {MADE}\n{head}\n" + "\n".join(rows) + "\n"


def _levels(types: list[type[ActionType]]) -> str:
    parts = [
        "# What Quell may do in an account\n",
        MADE,
        (
            "An account grants a level with every level before it. `deploy/roles/` has the same as"
            " CloudFormation (`*.yaml`) and Terraform (`*.tf.json`); `quell-trust-guard.json` goes to every"
            " role.\n"
        ),
    ]
    for level in grants.LEVELS:
        named = [f"[{name}]({name}.json)" for name, _ in stacks.numbered(level)]
        of_level = [f"[{one.id}](../actions/{one.id}.md)" for one in types if grants.level_of(one) == level]
        parts.append(
            f"## {level}\n\nThis level {OF_LEVELS[level]}. Role: `{grants.ROLES[level]}`."
            f" Policies: {', '.join(named) or 'none'}.\n\nTypes: {', '.join(of_level) or 'none'}.\n"
        )
    return "\n".join(parts)


def _facts(declared: type[ActionType]) -> str:
    pairs = ", ".join(f"`{one}`" for one in declared.pairs_with) or "nothing in particular"
    return (
        "| | |\n|---|---|\n"
        f"| Target | `{declared.target}` |\n"
        f"| Category | {declared.category.value} |\n"
        f"| Tier | {TIERS[declared.tier]} |\n"
        f"| Level of trust | [{grants.level_of(declared)}](../iam/README.md) |\n"
        f"| Pairs with | {pairs} |\n"
    )


def _affects(declared: type[ActionType]) -> str:
    lines = [f"- {what}: {then}\n" for what, then in affected(declared)]
    return "".join(lines) or "The plan names what it changes; nothing else is known to be touched.\n"


def _parameters(declared: type[ActionType]) -> str:
    known: dict[str, Any] = schema(declared.params)
    lines = [
        f"- `{name}` ({facts['type']}{_default(facts)}): {facts.get('description', '')}\n"
        for name, facts in known["properties"].items()
    ]
    return "".join(lines) or "None.\n"


def _default(facts: dict[str, Any]) -> str:
    return f", {json.dumps(facts['default'])} unless given" if "default" in facts else ", needed"


def _undo(declared: type[ActionType]) -> str:
    if not has_undo(declared):
        return "None: what it makes is kept, or cannot be taken back."
    return "Each change brings its own undo, which is in the plan, approved with it, and sent after a look."


def _operations(names: tuple[str, ...]) -> str:
    return "".join(f"- `{name}`\n" for name in sorted(names)) + ("\n" if names else "None.\n\n")


def _by_hand(declared: type[ActionType]) -> str:
    return "".join(f"{number}. {line}\n" for number, line in enumerate(declared.fallback, start=1))


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2) + "\n"
