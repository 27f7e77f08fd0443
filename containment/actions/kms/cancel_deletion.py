"""https://docs.aws.amazon.com/kms/latest/developerguide/deleting-keys.html"""

from __future__ import annotations

from collections.abc import Iterator

from containment.actions import register
from containment.actions.kms import keys
from containment.describing import ActionType, Context, Steps
from containment.types import Affected, Category, Check, Plan, Refused

PENDING = ("PendingDeletion", "PendingReplicaDeletion")


@register
class CancelDeletion(ActionType):
    """Cancel the scheduled deletion of a key, and enable it again.

    Does not stop: whoever may call kms:ScheduleKeyDeletion from doing so again; imported key material that
    was deleted or has expired. It has no undo: Quell never schedules the deletion of a key.
    """

    id = "kms.cancel-deletion"
    title = "Cancel key deletion"
    target = "kms_key"
    category = Category.RECOVERY
    tier = 1
    order = 90
    pairs_with = ("iam.deny-technique", "kms.deny-principal")
    reads = ("kms:DescribeKey",)
    writes = ("kms:CancelKeyDeletion", "kms:EnableKey")
    fallback = ("aws kms cancel-key-deletion --key-id KEY", "aws kms enable-key --key-id KEY")

    def plan(self, ctx: Context) -> Plan:
        key, steps = keys.found(ctx), Steps(ctx)
        if key.state not in PENDING:
            raise Refused(f"key {key.id} is {key.state}; its deletion is not scheduled")
        state = f"{key.key}/state"
        for name, operation, becomes in (
            ("cancel", "CancelKeyDeletion", "Disabled"),
            ("enable", "EnableKey", "Enabled"),
        ):
            steps.set(
                name,
                changes=state,
                call=key.kms.call(operation, KeyId=key.id),
                seen=Check(read=key.description, select="KeyMetadata.KeyState", equals=becomes),
            )
        until = str(key.about.get("DeletionDate") or "")
        return steps.plan(
            changes=(f"Key {key.id} is not deleted on {until[:10] or 'schedule'}, and is enabled again",),
            facts={"deletion_date": until},
        )

    def affects(self, ctx: Context) -> Iterator[Affected]:
        key = keys.found(ctx)
        yield Affected(what=f"whatever is encrypted with key {key.id}", then="can be read and written again")
