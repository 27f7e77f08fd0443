import pytest

from tests.containment.subjects import SUBJECTS
from tests.containment.world import World


@pytest.mark.parametrize("type_id", sorted(SUBJECTS))
def test_apply_and_undo(world: World, type_id: str) -> None:
    subject = SUBJECTS[type_id]
    before = subject.look(world)
    target, params = subject.aim(world)
    action = world.propose(type_id, target, params)
    assert action.status in ("planned", "verified", "approved", "applied"), action.note
    action = world.drive(world.approve(action))
    assert action.status == "verified", action.note
    print(subject.look(world))
    if subject.has_undo:
        back = world.revert(action)
        assert back.status == "verified", back.note
        assert world.fresh(action).status == "reverted"
        assert subject.look(world) == before
    print(world.wire.sent)
