"""What is read out of an API answer, of which only three fields are documented."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.adapters.clickwrap.fields import FIELDS
from shared.adapters.clickwrap.payload import parse_time, read, read_signer
from shared.domain.model import ApiRequest, ApiSigner, ChannelName, Role, Status

SMS, EMAIL = ChannelName.SMS, ChannelName.EMAIL


def test_the_documented_fields_alone_are_enough():
    document = {
        "signers": [
            {
                "send_to": {"email": True, "mobile_number": False},
                "signer": {"email": "jo@x.org", "mobile_number": "317-123-1234"},
                "request_url": "https://sign.test/1",
            }
        ]
    }
    assert read(document) == ApiRequest(
        id="",
        signers=(
            ApiSigner(
                ids=("jo@x.org",),
                email="jo@x.org",
                mobile="317-123-1234",
                send_to={EMAIL: True, SMS: False},
                request_url="https://sign.test/1",
            ),
        ),
    )


METADATA = {
    "site": {"id": 12},
    "language": "pt-BR",
    "note": " Please hurry ",
    "custom_data": {"deal": 7, "nothing": None, "nested": {"a": 1}},
    "signers": [
        {"signer": {"locale": "de", "additional_attributes": {"company": "Acme", "title": "CEO" * 400, "team": "Ops"}}}
    ],
}


def test_metadata_is_read_along_its_paths_and_what_is_missing_is_absent():
    more = {"metadata.deal": ("custom_data.deal",), "metadata.nested": ("custom_data.nested",)}
    more |= {"metadata.nothing": ("custom_data.nothing",), "metadata.absent": ("a.b.c",)}
    more |= {"signer.metadata.team": ("signer.additional_attributes.team",)}
    found = read(METADATA, {**FIELDS, **more})
    assert (found.site, found.language) == ("12", "pt-BR")
    assert found.metadata == {"message": "Please hurry", "deal": "7"}
    (signer,) = found.signers
    assert signer.language == "de"
    assert signer.metadata == {"company": "Acme", "title": ("CEO" * 400)[:500], "team": "Ops"}


def test_every_other_field_is_found_on_its_paths():
    document = {
        "data": {
            "_id": 17,
            "contracts": [{"title": "Lease"}, {"title": "Annex"}, {}],
            "state": "In Progress",
            "created_by": {"name": "Jo"},
            "signing_order": True,
            "created_time": "2026-03-02T10:00:00Z",
            "expires_at": "2026-04-02T10:00:00+02:00",
            "download_url": "https://doc.test",
            "signers": [{"id": 4, "order": "2", "role": "Recipient", "first_name": "Jo", "last_name": "Doe"}],
        }
    }
    found = read(document)
    assert (found.id, found.title, found.status, found.sender) == ("17", "Lease, Annex", Status.OPEN, "Jo")
    assert (found.ordered, found.download_url) == (True, "https://doc.test")
    assert found.created_at == datetime(2026, 3, 2, 10, tzinfo=UTC)
    assert found.expires_at == datetime(2026, 4, 2, 8, tzinfo=UTC)
    (signer,) = found.signers
    assert (signer.ids, signer.order, signer.role, signer.name) == (("4",), 2, Role.RECIPIENT, "Jo Doe")


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"created_by": {"name": "Jo", "email": " Jo@Example.com "}}, "jo@example.com"),
        ({"created_by": 17, "sender": {"email": "jo@example.com"}}, "jo@example.com"),
        ({"created_by": {"email": "jo@example.com, evil@x.org"}, "from_email": "ann@example.com"}, "ann@example.com"),
        ({"created_by": {"email": "Jo\r\nBcc: evil@x.org"}}, ""),
        ({}, ""),
    ],
)
def test_the_senders_address_is_the_first_that_is_one(fields, found):
    assert read({"id": "r", **fields}).sender_email == found


@pytest.mark.parametrize("document", [None, [], "x", 5, True, {"data": []}, {}])
def test_what_is_no_object_is_refused_and_an_empty_one_is_silent(document):
    if isinstance(document, dict):
        assert read(document) == ApiRequest(id="")
    else:
        with pytest.raises(ValueError, match="not a JSON object"):
            read(document)


def test_data_beside_signers_is_not_unwrapped():
    assert read({"data": {"name": "inner"}, "signers": [], "name": "outer"}).title == "outer"


@pytest.mark.parametrize("rows", [None, {}, "x", [], [None, "", {}]])
def test_nothing_in_the_place_of_signers_is_no_signer(rows):
    assert read({"signers": rows}).signers == ()


@pytest.mark.parametrize(
    ("document", "status"),
    [
        ({"status": "sent"}, Status.OPEN),
        ({"status": " Completed "}, Status.COMPLETE),
        ({"status": "paused"}, Status.PAUSED),
        ({"status": "expired"}, Status.EXPIRED),
        ({"status": "archived"}, None),
        ({"status": "Cancelled"}, Status.GONE),
        ({"status": "voided", "expired": False}, Status.GONE),
        ({"status": "archived", "state": "complete"}, Status.COMPLETE),
        ({"status": 5}, None),
        ({"status": None}, None),
        ({"status": "sent", "expired": True}, Status.EXPIRED),
        ({"status": "complete", "expired": True}, Status.COMPLETE),
        ({"is_paused": True}, Status.PAUSED),
        ({"status": "sent", "archived": True}, Status.PAUSED),
        ({"status": "complete", "archived": True}, Status.COMPLETE),
        ({"status": "expired", "is_archived": True}, Status.EXPIRED),
        ({"archived": True}, None),  # it may have been complete
        ({"expired": False, "paused": False}, None),
        ({"expired": "true"}, None),
    ],
)
def test_a_status_is_known_or_silent_never_guessed(document, status):
    assert read(document).status is status


@pytest.mark.parametrize(
    ("row", "signed"),
    [
        ({"signed": True}, True),
        ({"signed": False}, False),
        ({"signed": None}, None),
        ({"signed": 1}, None),
        ({"signed": "yes"}, None),
        ({"status": "Signed"}, True),
        ({"status": "pending"}, False),
        ({"status": "delegated"}, None),
        ({"signed_time": "2026-03-02T10:00:00Z"}, True),
        ({"signed_time": None}, None),
        ({"signed_time": ""}, None),
        ({"signed": False, "signed_time": "2026-03-02T10:00:00Z"}, True),
        ({"signed": {"at": 1}}, None),
    ],
)
def test_a_signature_is_told_by_a_flag_a_known_word_or_a_time(row, signed):
    assert read_signer({"id": "a", **row}).signed is signed


@pytest.mark.parametrize(
    ("row", "ids"),
    [
        ("s1", ("s1",)),
        (7, ("7",)),
        ({"signer_id": " s1 ", "id": "s1", "signer": {"id": 9, "email": "jo@x.org"}}, ("s1", "9", "jo@x.org")),
        ({"id": None, "_id": True, "uuid": {"a": 1}, "email": "jo@x.org"}, ("jo@x.org",)),
        ({"request_url": "u"}, ()),
    ],
)
def test_every_id_of_a_signer_is_kept(row, ids):
    assert read_signer(row).ids == ids


@pytest.mark.parametrize(
    ("send_to", "expected"),
    [
        ({"email": True}, {EMAIL: True}),
        ({"mobile_number": False}, {SMS: False}),
        ({"email": None, "mobile_number": "yes"}, {}),
        (None, {}),
        ([], {}),
    ],
)
def test_where_to_send_is_a_flag_or_unsaid(send_to, expected):
    assert read_signer({"id": "a", "send_to": send_to}).send_to == expected


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-03-02T10:00:00", datetime(2026, 3, 2, 10, tzinfo=UTC)),
        ("2026-03-02", datetime(2026, 3, 2, tzinfo=UTC)),
        ("2 March", None),
        ("", None),
        (1772445600, None),
        (None, None),
    ],
)
def test_times_are_iso_8601_and_utc_unless_they_say(text, at):
    assert parse_time(text) == at


def test_a_path_of_the_operators_own_is_followed():
    fields = {**FIELDS, "title": ("meta.*.label",), "signer.signed": ("done",)}
    found = read(
        {"meta": [{"label": "X"}], "name": "no", "signers": [{"id": 1, "done": True, "signed": False}]}, fields
    )
    assert (found.title, found.signers[0].signed) == ("X", True)


leaves = st.none() | st.booleans() | st.integers() | st.text(max_size=8)
keys = st.sampled_from(
    ["signers", "signer", "data", "status", "id", "send_to", "order", "name", "signed_time", "email"]
)
documents = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=5))


@given(st.dictionaries(keys, documents, max_size=6))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_any_json_object_is_read_without_an_error(document):
    assert isinstance(read(document), ApiRequest)
