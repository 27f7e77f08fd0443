"""What an author of an action type works with: the context, and the builder of steps. Pure.

The author's common case is ten to thirty lines; see CONTRACT §11 for two types in full.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Protocol

from containment.keeping_out import reads_for
from containment.looking import Reader, holds_form, normal, select
from containment.parameters import NoParams
from containment.types import (
    CHANGING,
    Affected,
    Artefact,
    Call,
    Category,
    Check,
    Compare,
    Duty,
    Edit,
    Kind,
    Place,
    Plan,
    Read,
    Refused,
    Step,
    Target,
    plain,
)
from lib.canonical import JSON

GLOBAL_SERVICES = frozenset({"iam", "organizations", "cloudfront", "route53"})
HOME_REGIONS = {"aws": "us-east-1", "aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1"}
"""Where a partition's services without regions are asked.
https://docs.aws.amazon.com/general/latest/gr/iam-service.html"""

OF_ORGANIZATION = frozenset({"organizations", "sso-admin", "identitystore"})


class Ref(dict[str, Any]):
    """`{"$ref": step}`: what the step's `seen` selects, known only at run time."""

    @property
    def name(self) -> str:
        """The step's name."""
        return str(self["$ref"])


def ref(step: str) -> Ref:
    """A reference to the value of a step."""
    return Ref({"$ref": step})


def filters(**by: str | Ref) -> list[dict[str, Any]]:
    """EC2 filters, sorted by name: `filters(**{"vpc-id": vpc})`."""
    return [{"Name": name, "Values": [value]} for name, value in sorted(by.items())]


@dataclass(frozen=True, kw_only=True)
class Service:
    """Builds reads and calls of one service at one place."""

    name: str
    place: Place
    duty: Duty

    def read(
        self,
        operation: str,
        /,
        *,
        decode: tuple[str, ...] = (),
        missing: tuple[str, ...] = (),
        **params: Any,
    ) -> Read:
        """A read in the READ role."""
        return Read(
            at=replace(self.place, duty=Duty.READ),
            service=self.name,
            operation=operation,
            params=params,
            decode=decode,
            missing=missing,
        )

    def call(self, operation: str, /, **params: Any) -> Call:
        """A call in the role that the action's category acts in."""
        return Call(
            at=replace(self.place, duty=self.duty), service=self.name, operation=operation, params=params
        )


class Sources(Protocol):
    """What collecting an artefact may ask, beside planning's reads."""

    def attempt(self, read: Read) -> tuple[JSON, str]:
        """The answer, and why there is none where AWS refused; raises only what may pass by itself."""

    def fetch(self, url: str) -> Iterator[bytes]:
        """The bytes behind an address that AWS gave, in chunks."""


@dataclass(frozen=True, kw_only=True)
class Context:
    """Everything planning may know. Names, tags and Sids come from `mark`: nothing random, no clock.

    `regions` are those in which the estate says the account is used, sorted; `sources` is there only
    while an artefact is collected. `exempt` are the principals (role and user ARNs, sorted) whom no deny
    may hit: Quell's own roles in the target's account and the account's break-glass principals.
    `write_back`: whether findings may be changed where they came from.
    """

    id: str
    target: Target
    params: Any
    duty: Duty
    places: Mapping[str, Place]
    reader: Reader
    partition: str = "aws"
    exempt: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    sources: Sources | None = None
    write_back: bool = False

    @property
    def mark(self) -> str:
        """`quell-<action id>`: the name of whatever this action makes."""
        return f"quell-{self.id.lower()}"

    @property
    def sid(self) -> str:
        """The mark in letters and digits only, as a policy's `Sid` demands."""
        return f"Quell{self.id}"

    @property
    def tags(self) -> list[dict[str, str]]:
        """Tags of whatever this action makes."""
        return [{"Key": "quell:action", "Value": self.id}]

    def arn(self, service: str, resource: str, *, region: str = "", account: str | None = None) -> str:
        """An ARN in the target's partition and account; give `account=""` where the form has none.

        https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html
        """
        owner = self.target.account if account is None else account
        return f"arn:{self.partition}:{service}:{region}:{owner}:{resource}"

    @property
    def home(self) -> str:
        """The region in which the partition's services without regions are asked."""
        return HOME_REGIONS.get(self.partition, "us-east-1")

    def at(self, where: str = "target", *, region: str = "") -> Place:
        """A place by its role in the plan: target, management, identity, forensic or edge.

        Raises `Refused` where the estate has no such place.
        """
        place = self.places.get(where)
        if place is None:
            raise Refused(f"the estate names no {where} account")
        return replace(place, region=region or place.region)

    def aws(self, service: str, where: str = "target", *, region: str = "") -> Service:
        """A service at a place; services without regions are asked in the partition's home region."""
        home = self.home if service in GLOBAL_SERVICES else region
        duty = Duty.ORGANIZATION if service in OF_ORGANIZATION else self.duty
        return Service(name=service, place=self.at(where, region=home), duty=duty)

    def read(self, read: Read) -> Any:
        """The answer of a read."""
        return self.reader.read(read)

    def look(self, check: Check) -> JSON:
        """What a check selects now."""
        return select(check.select, self.reader.read(check.read))

    def attempt(self, read: Read) -> tuple[Any, str]:
        """While collecting: the answer of a read, and in words why there is none where AWS refused."""
        return self._sources().attempt(read)

    def fetch(self, url: str) -> Iterator[bytes]:
        """While collecting: the bytes behind an address that AWS gave."""
        return self._sources().fetch(url)

    def _sources(self) -> Sources:
        if self.sources is None:
            raise TypeError("only collecting may attempt and fetch; planning reads")
        return self.sources


class ActionType:
    """One kind of containment action. It reads, and describes; it never acts.

    The docstring's first line is the title's longer form; its second paragraph says what the action
    does not stop.
    """

    id: ClassVar[str]
    title: ClassVar[str]
    target: ClassVar[str]
    category: ClassVar[Category]
    tier: ClassVar[int]
    order: ClassVar[int] = 50
    params: ClassVar[type] = NoParams
    pairs_with: ClassVar[tuple[str, ...]] = ()
    reads: ClassVar[tuple[str, ...]]
    writes: ClassVar[tuple[str, ...]]
    fallback: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **given: Any) -> None:
        """Declare for each type what finding out whether its target must be left alone reads as well."""
        super().__init_subclass__(**given)
        if all(hasattr(cls, name) for name in ("id", "target", "tier", "reads")):
            cls.reads = tuple(dict.fromkeys((*cls.reads, *reads_for(cls))))

    def plan(self, ctx: Context) -> Plan:
        """The steps, as data. Only reads; raises `Refused` with the reason when it cannot be done."""
        raise NotImplementedError

    def collect(self, ctx: Context, artefact: str) -> Artefact:
        """What the COLLECT step of that name finds. May read what the type declares, and sends nothing.

        Raises `Refused` where it cannot be had and that is no finding.
        """
        raise NotImplementedError(f"{self.id} plans to collect {artefact} and does not say how")

    def affects(self, ctx: Context) -> Iterator[Affected]:  # noqa: ARG002 - for types that know more
        """What else is touched. May be incomplete; the caller stops it after three seconds."""
        yield from ()

    @classmethod
    def does_not_stop(cls) -> str:
        """The residual access, from the docstring."""
        text = " ".join((cls.__doc__ or "").split())
        _, found, rest = text.partition("Does not stop: ")
        return rest if found else ""


_UNSET: Any = object()


@dataclass
class Steps:
    """A thin builder: gathers steps, and fills in `was` by looking."""

    ctx: Context
    steps: list[Step] = field(default_factory=list)

    def set(self, name: str, *, changes: str, call: Call, seen: Check, was: Any = _UNSET, **more: Any) -> Ref:
        """A call whose repetition has the same effect or is refused."""
        return self._add(Kind.SET, name, changes=changes, call=call, seen=seen, was=was, **more)

    def create(
        self, name: str, *, changes: str, call: Call, find: Read, select: str, answer: str, **more: Any
    ) -> Ref:
        """Makes an object under our mark; looked up before the first call as well."""
        seen = Check(read=find, select=select, equals=True, compare=Compare.PRESENT)
        return self._add(
            Kind.CREATE, name, changes=changes, call=call, seen=seen, was=None, answer=answer, **more
        )

    def edit(self, name: str, *, changes: str, call: Call, seen: Check, edit: Edit, **more: Any) -> Ref:
        """Changes our members of a document that others edit too."""
        return self._add(
            Kind.EDIT, name, changes=changes, call=call, seen=seen, edit=edit, was=_UNSET, **more
        )

    def wait(
        self,
        name: str,
        *,
        seen: Check,
        within: int,
        every: int = 15,
        fails: tuple[Any, ...] = (),
        lane: str | None = None,
    ) -> None:
        """Polls, without holding a worker, until AWS is done."""
        self.steps.append(
            Step(name=name, kind=Kind.WAIT, seen=seen, within=within, every=every, fails=fails, lane=lane)
        )

    def pause(self, name: str, seconds: int) -> None:
        """Time for traffic to pass."""
        if seconds:
            self.steps.append(Step(name=name, kind=Kind.PAUSE, within=seconds))

    def collect(self, *names: str) -> None:
        """Artefacts to store, one a step; each is a lane of its own, so that a refused read costs one."""
        self.steps += [Step(name=name, kind=Kind.COLLECT, lane=name) for name in names]

    def plan(self, **parts: Any) -> Plan:
        """The finished plan."""
        names = [step.name for step in self.steps]
        if len(set(names)) != len(names):
            raise ValueError(f"{self.ctx.id}: two steps of one name")
        return Plan(steps=tuple(self.steps), **parts)

    def _add(self, kind: Kind, name: str, *, seen: Check, was: Any, **values: Any) -> Ref:
        step = Step(name=name, kind=kind, seen=seen, **values)
        self.steps.append(replace(step, was=self._was(step, was)))
        return ref(name)

    def _was(self, step: Step, given: Any) -> Any:
        assert step.seen
        earlier = [s for s in self.steps if s.changes == step.changes and s.kind in CHANGING]
        if earlier and earlier[-1].seen:
            return earlier[-1].seen.equals
        if given is not _UNSET:
            return given
        if holds_form(step.seen.read.params, "$ref"):
            raise ValueError(f"{step.name}: say what it was; it cannot be looked at while planning")
        return plain(normal(self.ctx.look(step.seen), step.seen.compare))
