"""Who acts: a frozen value that travels into every use-case as `by`."""

from __future__ import annotations

from dataclasses import dataclass

from identity.models import ApiKey, Membership, Person, User
from identity.permissions import OF_ROLE, Permission


@dataclass(frozen=True, kw_only=True)
class Seat:
    """One membership, resolved: in which team, as what, for which accounts (none named: all)."""

    team: int
    role: str
    accounts: frozenset[str] = frozenset()
    ou_paths: frozenset[str] = frozenset()

    @property
    def is_whole(self) -> bool:
        """Whether it covers every account of the team."""
        return not self.accounts and not self.ou_paths


@dataclass(frozen=True, kw_only=True)
class Actor:
    """A person behind a login, a program behind a key, or the system.

    `label` is the login or key name; `person_id` is set for people only, and is what approvals
    compare. A key has the scopes it was given and the team of its service account. `principal` names the
    person, the one key or the one hook (`person:ulid`, `key:ulid`, `hook:ulid`); `per_minute` is the
    budget of that key or hook, None where it has none of its own.
    """

    kind: str
    label: str
    name: str = ""
    person_id: int | None = None
    person_ulid: str = ""
    seats: tuple[Seat, ...] = ()
    scopes: frozenset[str] = frozenset()
    team: int | None = None
    ip: str = ""
    request_id: str = ""
    principal: str = ""
    per_minute: int | None = None

    def may(self, permission: Permission, *, team: int | None = None) -> bool:
        """Whether the role (in that team, or in any) or the key's scopes include the permission."""
        if self.kind == "system":
            return True
        if self.kind == "key":
            return permission.scope in self.scopes and team in (None, self.team)
        return any(permission in OF_ROLE[seat.role] for seat in self.seats if team in (None, seat.team))

    def seats_for(self, permission: Permission) -> tuple[Seat, ...]:
        """The memberships that carry the permission; for a key, its team if the scope allows it."""
        if self.kind == "key":
            if self.team is None or permission.scope not in self.scopes:
                return ()
            return (Seat(team=self.team, role="key"),)
        return tuple(seat for seat in self.seats if permission in OF_ROLE[seat.role])


SYSTEM = Actor(kind="system", label="quell", name="Quell")


def system(label: str) -> Actor:
    """The system acting on its own, named for the part that acts (`worker-containment`)."""
    return Actor(kind="system", label=label, name="Quell")


def of_user(user: User, *, ip: str = "", request_id: str = "") -> Actor:
    """The actor behind a login, with all memberships of its person. Two queries at most."""
    person = user.person
    if person is None or not user.is_active:
        return Actor(kind="person", label=user.username, ip=ip, request_id=request_id)
    seats = tuple(_seat(membership) for membership in person.memberships.order_by("pk"))
    return Actor(
        kind="person",
        label=user.username,
        name=person.name,
        person_id=person.pk,
        person_ulid=person.ulid,
        seats=seats,
        ip=ip,
        request_id=request_id,
        principal=f"person:{person.ulid}",
    )


def of_person(person: Person) -> Actor:
    """The actor that a person is whichever login they use: to ask what they may see, never to act.

    Its memberships are read as loaded, so that many persons cost two queries.
    """
    return Actor(
        kind="person",
        label=person.name[:80],
        name=person.name,
        person_id=person.pk,
        person_ulid=person.ulid,
        seats=tuple(_seat(membership) for membership in person.memberships.all()),
        principal=f"person:{person.ulid}",
    )


def of_key(key: ApiKey, *, ip: str = "", request_id: str = "") -> Actor:
    """The actor behind an API key (with its service account loaded)."""
    return Actor(
        kind="key",
        label=key.account.name,
        name=key.account.name,
        scopes=frozenset(key.scopes),
        team=key.account.team_id,
        ip=ip,
        request_id=request_id,
        principal=f"key:{key.ulid}",
        per_minute=key.per_minute,
    )


def _seat(membership: Membership) -> Seat:
    return Seat(
        team=membership.team_id,
        role=membership.role,
        accounts=frozenset(membership.accounts),
        ou_paths=frozenset(membership.ou_paths),
    )
