"""A replay of dead letters sends what is still due, once, and lists it before."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import timedelta

import msgspec
import pytest
from msgspec.structs import replace

from infra.ops import replay as command
from shared import bootstrap
from shared.domain.dead_letters import DeadLetter, dead_topic
from shared.domain.errors import PermanentFailure, RetryLater
from shared.domain.model import EventType, Request, Status
from shared.domain.policy import Policy
from shared.services.dead_letters import DeadLetterService, ReplayOutcome
from shared.services.deferral import Deferral
from tests.fakes import START, World, seen

SENT, SIGNED, COMPLETE, _ = EventType
DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)


class Letters:
    def __init__(self) -> None:
        self.letters: list[DeadLetter] = []

    @contextmanager
    def open(self, topic: str, limit: int) -> Iterator[Sequence[DeadLetter]]:
        yield [one for one in self.letters if one.topic == topic][:limit]

    def drop(self, letters: Sequence[DeadLetter]) -> None:
        self.letters = [one for one in self.letters if one not in letters]


class Office(World):
    def __init__(self, policy: Policy | None = None) -> None:
        super().__init__(policy)
        self.letters = Letters()
        self.desk = DeadLetterService(self.ledger, self.letters, self.bus, self.names, self.policy, self.clock)
        self.says(seen("a"), seen("b"))

    def dead_event(self, kind: EventType = SENT, data: bytes = b"") -> None:
        self._bury(self.names.events_topic, data or msgspec.json.encode(self.event(kind)))

    def dead_notices(self) -> None:
        """What was published and not handled is given up instead."""
        for topic, data in self.bus.pending:
            if topic == self.names.notices_topic:
                self._bury(topic, data)
        self.bus.pending.clear()

    def _bury(self, topic: str, data: bytes) -> None:
        key = str(len(self.letters.letters) + 1)
        self.letters.letters.append(
            DeadLetter(key=key, topic=topic, data=data, at=self.now, attempts=100, reason="it failed")
        )

    def fates(self) -> list[ReplayOutcome]:
        return [j.outcome for j in self.desk.held()]

    def replayed(self, *only: str) -> None:
        self.desk.replay(only)
        self.pump()


@pytest.fixture
def office() -> Office:
    return Office()


def with_dead_notices() -> Office:
    office = Office()
    office.resolve.event(office.event(SENT))
    office.dead_notices()
    return office


def test_a_look_does_nothing(office):
    office.dead_event()
    [judged] = office.desk.held()
    assert judged.outcome is ReplayOutcome.REPLAY
    assert "request_sent of request r1" in judged.what
    assert "for the first time" in judged.would
    assert not office.bus.pending
    assert len(office.letters.letters) == 1


def test_a_replayed_event_has_its_effect_once(office):
    office.dead_event()
    office.dead_event()
    office.replayed()
    assert office.letters.letters == []
    assert office.told() == [("invitation", "a", 0), ("invitation", "b", 0)]


def test_one_whose_request_cannot_be_read_is_stuck_and_costs_no_other(office, monkeypatch):
    office.dead_event(data=msgspec.json.encode(replace(office.event(SENT), request="newer")))
    office.dead_event()
    read = office.ledger.get

    def get(kind, key):
        if key == "newer":
            raise PermanentFailure("a document in requests cannot be read by this version")
        return read(kind, key)

    monkeypatch.setattr(office.ledger, "get", get)
    assert office.fates() == [ReplayOutcome.STUCK, ReplayOutcome.REPLAY]
    assert "cannot be read by this version" in office.desk.held()[0].would
    office.replayed()
    assert len(office.letters.letters) == 1
    assert len(office.sent()) == 2


def test_many_are_replayed_in_parts_by_few_calls(office, monkeypatch, capsys):
    events = [msgspec.json.encode(office.event(SENT, key=f"e{n}")) for n in range(450)]
    for data in events:
        office.dead_event(data=data)
    published, dropped = calls(monkeypatch, office.bus, "publish"), calls(monkeypatch, office.letters, "drop")
    assert len(office.desk.held()) == len(office.desk.replay()) == 200
    assert (len(published), len(dropped), len(office.letters.letters)) == (4, 4, 250)
    monkeypatch.setattr(bootstrap, "dead_letters", lambda: office.desk)
    assert command.run(["--replay"]) == 0
    assert office.letters.letters == []
    assert capsys.readouterr().out.count("request_sent of request r1") == 250
    assert [data for _, data in office.bus.pending] == events


def calls(monkeypatch: pytest.MonkeyPatch, owner: object, name: str) -> list[object]:
    """The arguments of each call of a method from now on."""
    made, method = list[object](), getattr(owner, name)
    monkeypatch.setattr(owner, name, lambda *given: (made.append(given), method(*given))[1])
    return made


def test_an_event_that_has_had_its_effect_is_settled_and_dropped(office):
    office.hear(SENT)
    office.dead_event()
    assert office.fates() == [ReplayOutcome.SETTLED]
    office.replayed()
    assert office.letters.letters == []
    assert len(office.sent()) == 2


def test_an_event_whose_notices_were_lost_tells_which_would_go(office):
    office.resolve.event(office.event(SENT))
    office.bus.pending.clear()
    office.dead_event()
    [judged] = office.desk.held()
    assert judged.would == "sends invitation by sms, invitation by sms"
    office.replayed()
    assert len(office.sent()) == 2


def test_another_event_of_a_known_request_reads_it_again(office):
    office.hear(SENT)
    office.dead_event(SIGNED)
    assert "reads the request again" in office.desk.held()[0].would


def test_a_stale_event_and_one_of_a_purged_request_do_nothing(office):
    office.dead_event()
    office.now += 32 * DAY
    assert "days old" in office.desk.held()[0].would
    office.dead_event(SIGNED)
    office.ledger.put("r1", Request(id="r1", forgotten=True), None)
    assert "purged" in office.desk.held()[1].would
    office.replayed()
    assert (office.letters.letters, office.sent()) == ([], [])


def test_a_dead_notice_is_sent_by_a_replay_with_the_attributes_that_its_subscription_filters_by():
    office = with_dead_notices()
    assert office.desk.held()[0].would == "sends it to signer 1 by sms, if the API still says so"
    office.desk.replay()
    assert {m.attributes["channel"] for m in office.bus.topics[office.names.notices_topic][-2:]} == {"sms"}
    office.pump()
    assert len(office.sent()) == 2


def test_one_alone_can_be_replayed():
    office = with_dead_notices()
    office.replayed("1")
    assert [one.key for one in office.letters.letters] == ["2"]
    assert len(office.sent()) == 1


def test_of_a_notice_that_was_sent_only_the_outcome_is_told_again():
    """The delivery that sent it may have ended before it told."""
    office = with_dead_notices()
    office.bus.pending = [(one.topic, one.data) for one in office.letters.letters]
    office.pump()
    assert office.fates() == [ReplayOutcome.REPLAY] * 2
    assert office.desk.held()[0].would == "sends nothing, since it is accepted already, and tells that again"
    told = office.bus.topics[office.names.status_topic]
    told.clear()
    office.replayed()
    assert (len(office.sent()), len(told), office.fates()) == (2, 2, [])


def test_a_notice_no_longer_due_is_settled_with_the_reason_and_one_that_waits_waits():
    office = with_dead_notices()
    office.says(seen("a", signed=True), seen("b"), status=Status.PAUSED)
    office.hear(SIGNED, "a")
    wait, settled = sorted(office.desk.held(), key=lambda j: j.outcome is ReplayOutcome.SETTLED)
    assert (settled.would, wait.would) == ("nothing: already signed", "waits: the request is paused")


def test_a_notice_of_an_unknown_request_is_settled():
    office = with_dead_notices()
    office.ledger.documents.clear()
    assert office.fates() == [ReplayOutcome.SETTLED] * 2


@pytest.mark.parametrize("data", [b"\xff", b"{", b'{"v":1}', b"null"])
def test_what_cannot_be_read_stays_until_it_is_dropped(office, data):
    office.dead_event(data=data)
    office.replayed()
    assert office.fates() == [ReplayOutcome.STUCK]
    assert office.desk.drop(["1"]) == 1
    assert office.desk.held() == []


def test_a_replay_that_pub_sub_refuses_keeps_the_letter(office):
    office.dead_event()
    office.bus.down = True
    with pytest.raises(RetryLater):
        office.desk.replay()
    assert len(office.letters.letters) == 1


def test_what_no_repetition_mends_is_buried_with_its_reason(office, caplog):
    deferral = Deferral(office.scheduler, str, "https://x.test", office.bus, "signer-notices", office.clock)
    deferral.dead_letter(b"{", "é" * 2_000)
    [message] = office.bus.topics[dead_topic("signer-notices")]
    assert message.data == b"{"
    assert 0 < len(message.attributes["reason"].encode()) <= 1_000
    assert [r.json["alert"] for r in caplog.records] == ["dead_letter"]


class TestTheCommand:
    @pytest.fixture(autouse=True)
    def desk(self, office, monkeypatch):
        monkeypatch.setattr(bootstrap, "dead_letters", lambda: office.desk)
        office.dead_event()

    def test_tells_what_it_would_do(self, office, capsys):
        assert command.run([]) == 0
        told = capsys.readouterr().out
        assert "1  request_sent of request r1" in told
        assert f"{START:%Y-%m-%d %H:%M:%S} UTC on clickwrap-events, tried 100 times: it failed" in told
        assert "CONFIRM=1" in told
        assert len(office.letters.letters) == 1

    def test_replays_and_drops_only_when_told_to(self, office, capsys):
        assert command.run(["--drop", "--id=9"]) == 1
        assert len(office.letters.letters) == 1
        assert command.run(["--replay", "--id=1"]) == 0
        assert office.letters.letters == []
        assert command.run([]) == 0
        assert "no dead letters" in capsys.readouterr().out

    @pytest.mark.parametrize("arguments", [[], ["--replay"], ["--drop"]])
    def test_an_unknown_id_is_an_error_that_names_it(self, office, capsys, arguments):
        assert command.run([*arguments, "--id=bogus"]) == 1
        told = capsys.readouterr()
        assert "dead letter" in told.err
        assert "no dead letters" not in told.out
        assert len(office.letters.letters) == 1

    def test_drops_nothing_without_an_id(self, office, capsys):
        assert command.run(["--drop"]) == 1
        assert "set ID" in capsys.readouterr().err
        assert len(office.letters.letters) == 1

    @pytest.mark.parametrize("argument", ["--replay", "--drop"])
    def test_changes_nothing_in_a_dry_run(self, office, monkeypatch, argument):
        monkeypatch.setattr(command, "relay_ports", nullcontext)
        monkeypatch.setenv("DRY_RUN", "1")
        monkeypatch.setenv("BACKEND", "gcp")
        monkeypatch.setattr("sys.argv", ["dead_letters", argument, "--id=1"])
        assert command.main() == 0
        assert len(office.letters.letters) == 1

    def test_names_the_setting_where_there_is_no_state(self, tmp_path, monkeypatch, capsys):
        monkeypatch.setenv("LOCAL_DIR", str(tmp_path))
        monkeypatch.setenv("BACKEND", "embedded")
        monkeypatch.setattr("sys.argv", ["dead_letters"])
        assert command.main() == 1
        assert "LOCAL_DIR" in capsys.readouterr().err
