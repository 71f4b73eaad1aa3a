"""Evidence: complete, and no byte of it can be changed unnoticed. The stand-alone script is what verifies it."""

import json
import subprocess
import sys
from datetime import timedelta

import pytest
from msgspec.structs import replace

from infra.ops import verify_evidence
from infra.ops.verify_evidence import CLOSING, OPENING, Changed, canonical, verify
from shared.adapters.signing.local_file import FileKey
from shared.domain.evidence import chained
from shared.domain.model import EventType, Note, NoticeRecord, Request, Suppression
from shared.services.evidence import EvidenceService
from tests.fakes import World, seen


@pytest.fixture(scope="module")
def key(tmp_path_factory) -> FileKey:
    return FileKey(tmp_path_factory.mktemp("key") / "evidence.pem")


@pytest.fixture
def world() -> World:
    world = World()
    world.says(replace(seen("a"), name='<b>"Eric" & Söhne</b></script>'), seen("b"))
    world.resolve.event(world.event(EventType.SENT))
    world.pump()
    world.now += timedelta(hours=1)
    world.says(seen("a", signed=True), seen("b"))
    world.resolve.event(world.event(EventType.SIGNED, "a"))
    world.pump()
    return world


def exported(world: World, key: FileKey) -> bytes:
    return EvidenceService(world.ledger, key, world.clock).export("r1")


def entries_of(file: bytes) -> list[dict]:
    return json.loads(file.partition(OPENING)[2].partition(CLOSING)[0])["entries"]


def test_every_change_of_every_notice_is_in_it_and_who_was_told(world, key):
    file = exported(world, key)
    entries = entries_of(file)
    changes = {(k, c.state.value) for k, r in world.ledger.all(NoticeRecord).items() for c in r.history}
    assert {(e["notice"], e["state"]) for e in entries if e["type"] == "notice"} == changes
    assert [e["mobile"] for e in entries if e["type"] == "signer"] == ["+13175550101", "+13175550102"]
    assert [e["signer"] for e in entries if e["type"] == "signed"] == [1]
    assert verify(file)["request"] == "r1"


def test_no_link_that_signs_is_in_it_and_no_markup_of_a_name(world, key):
    file = exported(world, key).decode()
    urls = [s.request_url for s in world.ledger.all(Request)["r1"].signers.values()]
    assert not [url for url in urls if url in file]
    assert "<b>" not in file


def test_a_block_of_an_address_and_its_end_are_in_it(world, key):
    record = next(iter(world.ledger.all(NoticeRecord).values()))
    blocked = Suppression(
        channel=record.channel, reason="opted out", since=world.now, cleared_at=world.now, cleared_by="ann@example.com"
    )
    world.ledger.put(record.address, blocked, None)
    said = [(e["type"], e.get("reason"), e.get("who")) for e in entries_of(exported(world, key))]
    assert ("address blocked", "opted out", None) in said
    assert ("address allowed again", None, "ann@example.com") in said


def test_what_an_operator_did_and_why_is_in_it(world, key):
    stored = world.ledger.get(Request, "r1")
    note = Note(at=world.now, who="ann@example.com", what="reminders stopped", why="asked by phone")
    world.ledger.put("r1", replace(stored.item, notes=(note,)), stored.version)
    done = next(e for e in entries_of(exported(world, key)) if e["type"] == "operator")
    assert (done["who"], done["what"], done["why"]) == ("ann@example.com", "reminders stopped", "asked by phone")


def test_there_is_none_of_an_unknown_request(world, key):
    assert EvidenceService(world.ledger, key, world.clock).export("other") is None


def test_no_byte_can_be_changed(world, key):
    file = exported(world, key)
    for place in range(len(file)):
        changed = file[:place] + bytes([file[place] ^ 1]) + file[place + 1 :]
        with pytest.raises(Changed):
            verify(changed)


@pytest.mark.parametrize("again", [False, True], ids=["as they were", "with a chain made anew"])
def test_no_entry_can_be_dropped_or_moved(world, key, again):
    file = exported(world, key)
    before, _, rest = file.partition(OPENING)
    data, _, after = rest.partition(CLOSING)
    document = json.loads(data)
    found = document["entries"]
    for n in range(len(found)):
        for left in (found[:n] + found[n + 1 :], found[:n] + found[n + 1 :] + [found[n]]):
            if left == found:
                continue
            bare = [{k: v for k, v in e.items() if k not in ("number", "previous", "hash")} for e in left]
            entries = chained(bare) if again else left
            forged = before + OPENING + canonical({**document, "entries": entries}) + CLOSING + after
            with pytest.raises(Changed):
                verify(forged)


def test_a_file_signed_by_another_key_is_not_valid_under_the_one_that_is_trusted(world, key, tmp_path, capsys):
    file, trusted = tmp_path / "file.html", tmp_path / "trusted.pem"
    file.write_bytes(exported(world, FileKey(tmp_path / "other.pem")))
    trusted.write_text(key.public_key())
    assert verify_evidence.main([str(file), str(trusted)]) == 1
    assert "signature" in capsys.readouterr().err
    file.write_bytes(exported(world, key))
    assert verify_evidence.main([str(file), str(trusted)]) == 0
    assert "valid: " in capsys.readouterr().out


def test_the_script_runs_alone(world, key, tmp_path):
    (tmp_path / "file.html").write_bytes(exported(world, key))
    command = [sys.executable, "-I", verify_evidence.__file__, "file.html"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "compare its fingerprint" in done.stdout
