"""Whether Quell gets into its accounts, and nobody else gets in through Quell.

Each role is asked for three times: with the account's external id, with another, and with none. Only the
first may succeed. A role that does not insist on its external id can be had by anybody who talks Quell, or
whoever else its trust policy names, into assuming it.
https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from audit.record import record
from containment.refusals import Refusal, classify
from estate.models import Account
from estate.queries import Duty, NotGranted, role_link
from identity.actors import Actor
from lib import aws, ids
from lib.aws import AwsError, NoAnswer, Role, WrongAccount

NAME = "quell-readiness"
"""Session name and source identity of what is tried here, in CloudTrail."""

NOTHING = '{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}'
"""The policy of the sessions that are tried: they can do nothing at all."""


class Answer(StrEnum):
    """What AWS said to one attempt."""

    LET_IN = "let in"
    REFUSED = "refused"
    NOT_TOLD = "not told"


@dataclass(frozen=True, kw_only=True)
class Tried:
    """An attempt's answer, with AWS's words where it was none or a refusal."""

    answer: Answer
    words: str = ""


@dataclass(frozen=True, kw_only=True)
class Entrance:
    """One role of an account, and what is wrong with the way in."""

    account: str
    duty: Duty
    role: str
    problems: tuple[str, ...]

    @property
    def is_sound(self) -> bool:
        return not self.problems


def check(*, accounts: Iterable[Account], by: Actor, at: datetime) -> list[Entrance]:
    """Try every role of these accounts. Raises nothing: what AWS did not tell is a problem too."""
    found: list[Entrance] = []
    for account in accounts:
        entrances = list(_entrances(account))
        wrong = sum(not entrance.is_sound for entrance in entrances)
        details = {"roles": len(entrances), "wrong": wrong}
        record(act="readiness.entered", by=by, at=at, on=("account", account.account_id), details=details)
        found += entrances
    return found


def _entrances(account: Account) -> Iterator[Entrance]:
    for duty in Duty:
        try:
            link = role_link(account, duty)
        except NotGranted:
            continue
        role = Role(
            arn=link.role_arn,
            external_id=link.external_id,
            account=account.account_id,
            session_name=NAME,
            source_identity=NAME,
            policy=NOTHING,
        )
        problems = tuple(_problems(role))
        yield Entrance(account=account.account_id, duty=duty, role=link.role_arn, problems=problems)


def _problems(role: Role) -> Iterator[str]:
    if not role.external_id:
        yield "the account has no external id here"
    else:
        right = _try(role, role.external_id)
        if right.answer is not Answer.LET_IN:
            yield f"it cannot be assumed with its external id: {right.words}"
    without = _try(role, "")
    if without.answer is Answer.LET_IN:
        yield "it can be assumed without an external id: anybody may have it assumed for them"
    wrong = _try(role, f"not-{ids.ulid()}")
    if wrong.answer is Answer.LET_IN:
        yield "it can be assumed with any external id"
    for tried in (without, wrong):
        if tried.answer is Answer.NOT_TOLD:
            yield f"whether it insists on its external id is not known: {tried.words}"
            return


def _try(role: Role, external_id: str) -> Tried:
    """Ask for a session and throw it away."""
    try:
        aws.try_to_assume(role, external_id=external_id)
    except AwsError as refusal:
        is_denied = classify(refusal) is Refusal.DENIED
        answer = Answer.REFUSED if is_denied else Answer.NOT_TOLD
        return Tried(answer=answer, words=str(refusal)[:300])
    except (NoAnswer, WrongAccount) as failure:
        return Tried(answer=Answer.NOT_TOLD, words=str(failure)[:300])
    return Tried(answer=Answer.LET_IN)
