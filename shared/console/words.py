"""What each state means, in one sentence: shown with every badge and on a page of its own."""

MEANINGS = {
    "Where a signer stands": {
        "reached": "A receipt says that a message arrived.",
        "sent, not confirmed": "The provider took a message, and has not said that it arrived. Some never do.",
        "perhaps reached": "The provider's answer was lost: the message may have left.",
        "will be tried": "A message waits, and the time of the next try is known.",
        "waiting": "Nothing can be sent before something else happens.",
        "not reached": "No message has arrived, and none is on its way.",
        "ended": "The request has ended without this signer's signature.",
        "nothing to do": "No message is needed.",
    },
    "Signer": {
        "waiting": "Not invited yet: not this signer's turn, or no signing link yet.",
        "invited": "An invitation was planned. It says nothing of whether it arrived.",
        "signed": "The signature is there.",
        "removed": "No longer on the request.",
    },
    "Request": {
        "open": "Signatures are missing.",
        "paused": "The sender has paused it: nobody can sign, and what is due waits.",
        "complete": "Everyone has signed.",
        "expired": "It ended without all signatures.",
        "gone": "Clickwrap no longer knows it (404); nothing more is sent.",
        "dormant": "Nothing was heard of it for 30 days after its last reminder; it is no longer rechecked.",
        "disputed": "A webhook says that it is complete, and the API denies it; nothing is sent until they agree.",
        "stopped": "An operator has stopped its reminders.",
    },
    "Message": {
        "planned": "To be tried again.",
        "sending": "Handed to the provider just now.",
        "accepted": "The provider took it.",
        "delivered": "A receipt says that it arrived.",
        "undelivered": "A receipt says that it did not arrive.",
        "failed": "Refused for good, or too late.",
        "unknown": "The provider's answer was lost; it may have left.",
        "suppressed": "No longer due when its turn came, or the address must not be used.",
    },
    "Replay of a dead letter": {
        "replay": "A replay would do something.",
        "settled": "Nothing is left to do; a replay drops it.",
        "stuck": "It cannot be read; it stays until an operator drops it.",
    },
}
SHORT = {state: text for group in reversed(MEANINGS.values()) for state, text in group.items()}
