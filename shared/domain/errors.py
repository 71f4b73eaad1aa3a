"""What became of a call to the outside. Adapters translate into these; handlers act on them."""

import msgspec


class Accepted(msgspec.Struct, frozen=True):
    """The provider took the message and will try to deliver it."""

    provider_id: str


class Reasoned(Exception):
    """reason: one line, which may be logged and shown: it holds no address, name, link or secret."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class RetryLater(Reasoned):
    """Not done, certainly without effect, and worth doing again.

    after: seconds to wait at least; None leaves the pace to whoever retries.
    of_message: this one message or recipient is the cause, so that nothing follows for the others.
    paced: only the pace or the number of all calls is too high.
    """

    def __init__(
        self, reason: str, after: float | None = None, *, of_message: bool = False, paced: bool = False
    ) -> None:
        super().__init__(reason)
        self.after, self.of_message, self.paced = after, of_message, paced


class PermanentFailure(Reasoned):
    """Refused for good: the same call would be refused again.

    suppress: the address itself is at fault (opted out, landline, hard bounce) and is not to be tried again.
    """

    def __init__(self, reason: str, *, suppress: bool = False) -> None:
        super().__init__(reason)
        self.suppress = suppress


class OutcomeUnknown(Reasoned):
    """The request left and its answer was lost: it may have had its effect. Never retried blindly."""


class CannotSay(Reasoned):
    """A provider was asked whether it took a message, and its answer will not tell, however often it is asked."""
