"""Who gets a message: by name and key, once for each process, the oldest first, while it lives."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import pytest

from engine.core.messages import Door, Doors, Message, PostOffice, key_text
from engine.core.model import InstanceId, InstanceStarted, Json, MessageSubscribed
from tests.core.world import NOON, at

ROOT, OTHER = InstanceId("0"), InstanceId("0.Call#1")


def message(number: int, key: str = "7", expires: datetime | None = None) -> Message:
    return Message(id=f"m{number}", name="paid", key=key, expires=expires)


def wait(office: PostOffice, instance: InstanceId, process: str, key: str = "7") -> str:
    """Wait for `paid`; return the id of the message that comes at once, or nothing."""
    event = MessageSubscribed(subscription="Pay#1", name="paid", correlation_key=key)
    found = office.subscribe(instance, process, event, NOON)
    return found.message.id if found else ""


def given(office: PostOffice, sent: Message, now: datetime = NOON) -> list[str]:
    return [found.instance for found in office.publish(sent, now)]


@pytest.mark.parametrize(
    ("key", "text"),
    [(7, "7"), (Decimal("7.0"), "7"), ("7", "7"), (Decimal("7.50"), "7.5"), (None, ""), ("a b", "a b")],
)  # fmt: skip
def test_a_key_is_text(key: Json, text: str) -> None:
    assert key_text(key) == text


def test_a_message_goes_to_each_process_once_and_to_the_first_that_waits() -> None:
    office = PostOffice()
    for instance, process in ((ROOT, "a"), (InstanceId("0.X#1"), "a"), (OTHER, "b")):
        assert wait(office, instance, process) == ""
    assert given(office, message(1)) == [ROOT, OTHER]
    assert given(office, message(2)) == ["0.X#1"]
    assert given(office, message(3)) == []


def test_a_message_of_another_key_or_name_is_not_meant() -> None:
    office = PostOffice()
    wait(office, ROOT, "a")
    assert given(office, message(1, key="8")) == []
    assert given(office, Message(id="m2", name="sent", key="7")) == []


def test_kept_messages_go_in_the_order_of_their_publication_until_they_expire() -> None:
    office = PostOffice()
    for number, minutes in ((1, 5), (2, 0), (3, 9)):
        assert given(office, message(number, expires=at(minutes=minutes))) == []
    assert given(office, message(4)) == []  # lost: nobody waits and it is not kept
    assert [wait(office, ROOT, "a") for _ in range(3)] == ["m1", "m3", ""]


def test_a_kept_message_goes_to_another_process_later() -> None:
    office = PostOffice()
    wait(office, ROOT, "a")
    assert given(office, message(1, expires=at(hours=1))) == [ROOT]
    assert (wait(office, ROOT, "a"), wait(office, OTHER, "b")) == ("", "m1")


def test_who_waits_no_longer_gets_nothing() -> None:
    office = PostOffice()
    wait(office, ROOT, "a")
    wait(office, OTHER, "b")
    office.unsubscribe(ROOT, "Pay#1")
    office.forget(OTHER, NOON)
    assert given(office, message(1)) == []


def test_what_a_process_had_before_a_restart_it_does_not_get_again() -> None:
    office = PostOffice()
    office.keep(message(1, expires=at(hours=1)), {"a"})
    assert (wait(office, ROOT, "a"), wait(office, OTHER, "b")) == ("", "m1")


# --- messages and signals that start a process --------------------------------------------------------

SHIP = Doors(
    messages={
        "paid": [Door(process="ship", event="Paid"), Door(process="thank", event="Paid_too")]
    },
    signals={"closed": [Door(process="ship", event="Closed")]},
)


def begun(office: PostOffice, instance: str, key: str = "7", *, is_open: bool = True) -> None:
    fact = InstanceStarted(at=NOON, process="ship", start_event="Paid", message="m0", key=key)
    office.began(InstanceId(instance), fact, is_open=is_open)


def test_a_message_starts_each_process_once_after_those_that_wait() -> None:
    office = PostOffice(SHIP)
    wait(office, ROOT, "order")
    sent = message(1, key="7")
    assert [found.fact(NOON) for found in office.publish(sent, NOON)][1:] == [
        InstanceStarted(at=NOON, process="ship", start_event="Paid", message="m1", key="7"),
        InstanceStarted(at=NOON, process="thank", start_event="Paid_too", message="m1", key="7"),
    ]
    assert given(office, message(2, key="8")) == ["3", "4"]


def test_a_process_that_waits_for_the_message_is_not_started_by_it() -> None:
    office = PostOffice(SHIP)
    wait(office, ROOT, "ship")
    assert given(office, message(1)) == [ROOT, "1"]


def test_with_a_key_there_is_one_instance_at_a_time_and_a_kept_message_starts_the_next() -> None:
    office = PostOffice(SHIP)
    assert given(office, message(1)) == ["1", "2"]
    assert given(office, message(2)) == []
    assert given(office, message(3, expires=at(hours=1))) == []
    assert given(office, message(4, key="")) == ["3", "4"]
    opened = office.forget(InstanceId("1"), NOON)
    assert [(o.instance, o.door.process, o.message) for o in opened] == [("5", "ship", "m3")]
    assert office.forget(InstanceId("2"), at(hours=2)) == []


def test_a_signal_starts_an_instance_each_time() -> None:
    office = PostOffice(SHIP)
    for number in ("1", "2"):
        (opening,) = office.signalled("closed", {"why": "rain"})
        assert (opening.instance, opening.door.event, opening.variables) == (
            number,
            "Closed",
            {"why": "rain"},
        )
    assert office.signalled("opened", {}) == []


def test_after_a_restart_the_numbers_and_the_keys_at_work_are_known() -> None:
    office = PostOffice(SHIP)
    begun(office, "3")
    begun(office, "4", key="8", is_open=False)
    assert given(office, message(1)) == ["5"]  # thank; ship has 7 at work
    assert given(office, message(2, key="8")) == ["6", "7"]
