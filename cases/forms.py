"""What people write into the pages of the record: checked here, saved nowhere."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from django import forms

from cases.sources.traces import kind_of, resource_of, web_link
from cases.words import Band, MilestoneKind, Phase, Verdict
from estate.models import Account
from identity.models import Team
from lib import clock
from lib.defang import refang

DISMISSALS = (
    (Verdict.FALSE_POSITIVE.value, "False positive"),
    (Verdict.BENIGN.value, "Benign, expected"),
    (Verdict.DUPLICATE.value, "Duplicate"),
    (Verdict.TRUE_POSITIVE.value, "True positive, handled"),
)
VERDICTS = (
    (Verdict.TRUE_POSITIVE.value, "True positive"),
    (Verdict.FALSE_POSITIVE.value, "False positive"),
    (Verdict.BENIGN.value, "Benign"),
    (Verdict.DUPLICATE.value, "Duplicate"),
)
BAD_AS = {
    Band.CRITICAL: "Critical: damage is being done now",
    Band.HIGH: "High: somebody is where they must not be",
    Band.MEDIUM: "Medium: suspicious, worth a look today",
    Band.LOW: "Low: odd",
}
MOST_INDICATORS = 200
SEPARATED = re.compile(r"[\s,;]+")
CLOCK_FORMATS = ("%H:%M:%S", "%H:%M")
FULL_FORMATS = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M")


class EventTimeField(forms.CharField):
    """A time in UTC: with a date, or a clock time meaning the last time the clock stood there."""

    def to_python(self, value: object) -> datetime | None:  # type: ignore[override]
        text = str(value or "").strip().removesuffix("UTC").removesuffix("Z").strip()
        if not text:
            return None
        for written in FULL_FORMATS:
            if found := parsed(text, written):
                return found
        for written in CLOCK_FORMATS:
            if found := parsed(text, written):
                return _last(found)
        raise forms.ValidationError("Give a time such as 02:51 or 2026-11-24 02:51:30, in UTC.")

    def validate(self, value: object) -> None:
        if self.required and value is None:
            raise forms.ValidationError("Give the time at which it happened, in UTC.")

    def run_validators(self, value: object) -> None:
        """The text validators of the parent do not apply to a time."""


class IndicatorsField(forms.CharField):
    """Addresses, domains, hashes, keys, ARNs, between spaces, commas or lines; defanged ones are refanged."""

    def to_python(self, value: object) -> tuple[str, ...]:  # type: ignore[override]
        words = [word.strip("<>\"'") for word in SEPARATED.split(refang(str(value or "")))]
        found = tuple(dict.fromkeys(word for word in words if word))
        if len(found) > MOST_INDICATORS:
            raise forms.ValidationError(f"At most {MOST_INDICATORS}; put the rest into a file and link it.")
        if unknown := [word for word in found if not (kind_of(word) or resource_of(word))]:
            shown = ", ".join(word[:60] for word in unknown[:3])
            raise forms.ValidationError(
                f"Not an address, domain, URL, hash, access key, instance or ARN: {shown}."
            )
        return found

    def validate(self, value: object) -> None:
        """None at all is fine."""

    def run_validators(self, value: object) -> None:
        """Each was looked at by itself."""


class DismissForm(forms.Form):
    """Why an alert needs no more work."""

    verdict = forms.ChoiceField(choices=DISMISSALS)
    reason = forms.CharField(max_length=500, required=False, strip=True)


class NoteForm(forms.Form):
    """One line for the timeline."""

    at = EventTimeField()
    text = forms.CharField(
        max_length=500,
        strip=True,
        error_messages={"required": "Write what happened.", "max_length": "At most 500 characters."},
    )


class PhaseForm(forms.Form):
    """Where an incident goes next; closing has a form of its own."""

    to = forms.ChoiceField(choices=[(p.value, p.value.capitalize()) for p in Phase if p != Phase.CLOSED])
    reason = forms.CharField(max_length=500, required=False, strip=True)


class CloseForm(forms.Form):
    """What it was, and how it ended."""

    verdict = forms.ChoiceField(
        choices=VERDICTS, error_messages={"required": "Choose what it turned out to be."}
    )
    resolution = forms.CharField(
        max_length=4000, strip=True, error_messages={"required": "Write one sentence on how it ended."}
    )
    keep_reason = forms.CharField(max_length=500, required=False, strip=True)
    keep_until = forms.DateField(
        required=False, error_messages={"invalid": "Give a date such as 2026-12-24."}
    )

    def __init__(self, data: object, *, kept: list[str], standing: int) -> None:
        """`kept` are the actions ticked to stay in force, of `standing` that need a decision."""
        super().__init__(data)  # type: ignore[arg-type]
        self._kept, self._standing = kept, standing

    def clean(self) -> dict[str, object]:
        cleaned = super().clean() or self.cleaned_data
        if len(self._kept) < self._standing:
            raise forms.ValidationError(
                "Decide about every action that is in force: keep it here, undo it, or hand it over first."
            )
        if self._kept and not cleaned.get("keep_reason"):
            self.add_error("keep_reason", "Say why they stay in force.")
        return cleaned


class SeverityForm(forms.Form):
    """How bad it is, as a word."""

    severity = forms.ChoiceField(choices=[(b.value, b.value.capitalize()) for b in reversed(Band)])


class MilestoneForm(forms.Form):
    """A statement about when something happened."""

    kind = forms.ChoiceField(choices=[(k.value, k.value) for k in MilestoneKind])
    at = EventTimeField()
    estimated = forms.BooleanField(required=False)
    reason = forms.CharField(
        max_length=1000, strip=True, error_messages={"required": "Say how this is known."}
    )
    evidence = forms.CharField(max_length=1000, required=False, strip=True)


class ReportForm(forms.Form):
    """What somebody noticed, in their words. `token` was made with the form: sent twice, it is one report."""

    token = forms.CharField(max_length=26)
    title = forms.CharField(
        max_length=200, strip=True, error_messages={"required": "Say in one line what is the matter."}
    )
    happened = forms.CharField(
        max_length=10_000, strip=True, error_messages={"required": "Write what you saw."}
    )
    noticed_at = EventTimeField()
    severity = forms.ChoiceField(
        choices=[(band.value, says) for band, says in BAD_AS.items()],
        error_messages={
            "required": "Choose one; somebody looks at it in any case.",
            "invalid_choice": "Choose one of these.",
        },
    )
    account = forms.ChoiceField(
        required=False,
        error_messages={
            "required": "You report for some accounts only; choose which one it is.",
            "invalid_choice": "Choose one of your accounts.",
        },
    )
    team = forms.ChoiceField(required=False, error_messages={"invalid_choice": "Choose one of your teams."})
    indicators = IndicatorsField(required=False, max_length=20_000)
    link = forms.CharField(
        max_length=2000,
        required=False,
        strip=True,
        error_messages={"max_length": "At most 2,000 characters."},
    )

    def __init__(
        self, data: object = None, *, accounts: list[Account], teams: list[Team], initial: object = None
    ) -> None:
        """`teams` are those that the person may report to for anything, `accounts` those they may name."""
        super().__init__(data, initial=initial)  # type: ignore[arg-type]
        known = [("", "Not known, or none")] if teams else [("", "Choose an account")]
        self._choose(
            "account", known + [(one.account_id, f"{one.name} {one.account_id}") for one in accounts]
        )
        self._choose("team", [(team.slug, team.name) for team in teams])
        self.fields["account"].required = not teams

    def clean_noticed_at(self) -> datetime | None:
        at: datetime | None = self.cleaned_data["noticed_at"]
        if at is not None and at > clock.now() + timedelta(minutes=1):
            raise forms.ValidationError("Give a time that has passed, in UTC.")
        return at

    def clean_link(self) -> str:
        link = refang(self.cleaned_data["link"])
        if link and not web_link(link):
            raise forms.ValidationError("Give an address that begins with https:// or http://.")
        return link

    def _choose(self, name: str, choices: list[tuple[str, str]]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        field.choices = choices


def parsed(text: str, written: str) -> datetime | None:
    """The moment, in UTC, that a text written in this form names; None for another form."""
    try:
        return datetime.strptime(text, written).replace(tzinfo=UTC)
    except ValueError:
        return None


def _last(clock_time: datetime) -> datetime:
    """The most recent moment at which the clock showed that time; a minute ahead still means today."""
    now = clock.now()
    at = datetime.combine(now.date(), clock_time.time(), tzinfo=UTC)
    return at if at <= now + timedelta(minutes=1) else at - timedelta(days=1)
