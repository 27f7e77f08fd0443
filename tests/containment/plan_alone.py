"""Plan from recorded answers, in a process without Django: `python -m tests.containment.plan_alone FILE`.

That it runs at all shows that action types are a pure island; that it prints the same hash shows that
nothing of this process (hash seed, order of sets) is in a plan.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from containment.actions import action_type
from containment.describing import Context
from containment.hashing import plan_hash
from containment.parameters import load
from containment.types import CONTRACT_VERSION, Duty, Read, Target, place_of, plain
from lib import canonical


class Recorded:
    """Answers reads from a record."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers

    def read(self, read: Read) -> Any:
        return self.answers[canonical.dumps(plain(read))]


def main(path: Path) -> str:
    brief = json.loads(path.read_text(encoding="utf-8"))
    declared = action_type(brief["type"])
    context = Context(
        id=brief["id"],
        target=Target.of(brief["target"]),
        params=load(declared.params, brief["params"]),
        duty=Duty(brief["duty"]),
        places={where: place_of(place) for where, place in brief["places"].items()},
        reader=Recorded(brief["answers"]),
        partition=brief["partition"],
        exempt=tuple(brief["exempt"]),
        write_back=brief["write_back"],
        regions=tuple(brief["regions"]),
    )
    made = declared().plan(context)
    plan = plain(replace(made, facts={**made.facts, "tier": brief["tier"]}))
    assert isinstance(plan, dict)
    assert "django" not in sys.modules
    return plan_hash(
        contract=CONTRACT_VERSION,
        type_id=brief["type"],
        target=brief["target"],
        params=brief["params"],
        plan=plan,
    )


if __name__ == "__main__":
    sys.stdout.write(main(Path(sys.argv[1])))
