"""Why a signer was not reached, or not yet: one word for what an operator handles in one way, and what to do."""

import re
from enum import StrEnum

from shared.domain.model import ChannelName, NoticeRecord, NoticeState, Signer


class Cause(StrEnum):
    """Why. One word for what an operator handles in one way; lists are grouped by it."""

    ARRIVED = "arrived"
    TAKEN = "taken by the provider"
    ANSWER_LOST = "answer lost"
    NO_ADDRESS = "no address"
    INVALID_ADDRESS = "invalid address"
    CHANNEL_OFF = "channel not in use"
    OPTED_OUT = "opted out"
    UNUSABLE = "address unusable"
    FILTERED = "filtered"
    REFUSED = "refused"
    NOT_DELIVERED = "not delivered"
    TOO_LATE = "too late"
    PROVIDER_DOWN = "provider down"
    RETRY = "to be tried again"
    DEAD_LETTER = "dead letter"
    QUEUED = "in the queue"
    OVERDUE = "long in the queue"
    BLOCKED = "no reminder can arrive"
    HELD = "held back"
    SEND_WINDOW = "send window"
    DISPUTED = "disputed"
    NOT_THEIR_TURN = "not their turn"
    NO_LINK = "no signing link"
    ADOPTED = "met without its webhook"
    RECIPIENT = "recipient"
    SIGNED = "signed"
    REMOVED = "removed"
    OVER = "request over"


# Of messages; the others tell of a signer of whom there may be no message.
OF_MESSAGES = (
    Cause.ANSWER_LOST,
    Cause.NO_ADDRESS,
    Cause.OPTED_OUT,
    Cause.UNUSABLE,
    Cause.FILTERED,
    Cause.REFUSED,
    Cause.NOT_DELIVERED,
    Cause.TOO_LATE,
)
IN_CLICKWRAP = "Correct it in Clickwrap; it is noticed {noticed}."
ADVICE = {
    Cause.ANSWER_LOST: "Ask the signer, or send it once more and risk a double.",
    Cause.NO_ADDRESS: "Add an address in Clickwrap; it is noticed {noticed}.",
    Cause.INVALID_ADDRESS: IN_CLICKWRAP,
    Cause.CHANNEL_OFF: "Allow a channel for this signer in Clickwrap, or change CHANNEL_POLICY.",
    Cause.OPTED_OUT: "Tell them another way. Only they can undo it: by texting START, or by asking you to write again.",
    Cause.UNUSABLE: IN_CLICKWRAP,
    Cause.FILTERED: "Tell them another way, and ask the provider why messages of this sender are filtered.",
    Cause.REFUSED: "Mend what the provider names, then send it once more.",
    Cause.NOT_DELIVERED: "Send it once more, or tell them another way.",
    Cause.TOO_LATE: "Send it once more if it still matters.",
    Cause.PROVIDER_DOWN: "Nothing: it leaves by itself once the provider answers again.",
    Cause.RETRY: "Nothing, unless the reason names a setting.",
    Cause.DEAD_LETTER: "Replay it on the page Dead letters.",
    Cause.OVERDUE: "Look at Dead letters and Health: messages should leave within seconds.",
    Cause.HELD: "Nothing here: it is sent once the cause has passed.",
    Cause.DISPUTED: "Look at the request in Clickwrap. It is read again every hour.",
    Cause.NO_LINK: "Nothing, if the request was sent just now; else look at the request in Clickwrap.",
    Cause.ADOPTED: "Send the request again in Clickwrap if this signer must be invited.",
}
# Providers give their reasons in words; an operator does the same about all reasons of a row.
BY_WORDS = (
    (
        Cause.OPTED_OUT,
        re.compile(r"opted out|texted STOP|unsubscribe|complain|recipient (blocks|bars)|reported (it )?as spam", re.I),
    ),
    (Cause.FILTERED, re.compile(r"filter|spam|virus|10DLC|pumping|barred|DMARC|recipient's server", re.I)),
    (
        Cause.UNUSABLE,
        re.compile(
            r"landline|not a mobile|not valid|invalid|no longer in use|bounced|deactivated|not found|does not exist"
            r"|(number is )?unknown (number|sub|or no)|no such (mailbox|address|user)|not to be used"
            r"|blocked the number",
            re.I,
        ),
    ),
    (Cause.TOO_LATE, re.compile(r"too late|not delivered in time", re.I)),
)


NOT_TO_BE_USED = "the address is not to be used"


def unreachable(signer: Signer) -> tuple[Cause, str]:
    """Why there is no channel on which this signer can be told anything."""
    for channel, given in signer.unusable.items():
        what = "number" if channel is ChannelName.SMS else "address"
        of = "a phone number" if channel is ChannelName.SMS else "an e-mail address"
        return Cause.INVALID_ADDRESS, f"the {what} '{given}' is not {of}"
    if signer.mobile or signer.email:
        return Cause.CHANNEL_OFF, "they have an address, but no channel that may be used for them"
    return Cause.NO_ADDRESS, "the request holds neither a mobile number nor an e-mail address of theirs"


def was_not_due(record: NoticeRecord) -> bool:
    """Whether it was dropped because it was not due any more, and not because of its address."""
    return record.state is NoticeState.SUPPRESSED and not record.reason.startswith(NOT_TO_BE_USED)


def cause_of(record: NoticeRecord) -> Cause:
    """Of a message that did not arrive, or may not have."""
    if record.state is NoticeState.UNKNOWN:
        return Cause.ANSWER_LOST
    if record.channel is ChannelName.NONE:
        return Cause.NO_ADDRESS
    found = by_words(record.reason)
    return Cause.NOT_DELIVERED if found is Cause.REFUSED and record.state is NoticeState.UNDELIVERED else found


def by_words(reason: str) -> Cause:
    """Of what a provider, or the relay, gave as the reason."""
    return next((cause for cause, words in BY_WORDS if words.search(reason)), Cause.REFUSED)
