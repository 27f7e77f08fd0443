"""What people write into the pages of the record: checked here, saved nowhere."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django import forms

from cases.words import Band, MilestoneKind, Phase, Verdict
from lib import clock

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

    def __init__(self, data: object, *, kept: list[str], standing: int) -> None:
        """`kept` are the actions ticked to stay in force, of `standing` that need a decision."""
        super().__init__(data)  # type: ignore[arg-type]
        self._kept, self._standing = kept, standing

    def clean(self) -> dict[str, object]:
        cleaned = super().clean() or self.cleaned_data
        if len(self._kept) < self._standing:
            raise forms.ValidationError(
                "Decide about every action that is in force: keep it here, or undo it first."
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
