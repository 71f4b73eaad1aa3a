"""What a webhook is believed where the API is silent, as if the webhook's token were public.

The documented API does not say who has signed, so there the webhooks are the only source. What an account's API usually
says is learnt; where it usually speaks, its silence is no agreement. docs/threat-model.md shows what is left to forge.
"""

from datetime import datetime

from msgspec.structs import replace

from shared.domain.model import AccountAnswers, ApiRequest, Request, Role, Signer, SignerState, Status
from shared.domain.policy import Policy
from shared.domain.signers import Signers, counted

PROOF_WAIT = 600.0  # seconds that a Complete waits for the Signed of every signer
SENT_WAIT_DAYS = 25 / 24  # from the first event of a request: Clickwrap repeats a webhook for 24 hours
USUALLY = 0.9  # share of answers
LEAST_READ, REMEMBERED = 20, 50  # answers: before that nothing is usual; about so many weigh
ALERT_HELD = "held: a webhook says what the API usually tells and does not now"
ALERT_UNPROVEN = "unproven: believed complete without a Signed of every signer; the API does not say"
ALERT_EXPIRED = "expired_unproven: believed expired, so nobody is reminded; the API does not say"
ALERT_EXPIRED_DENIED = "expired_denied: a webhook says expired, the API denies it; reminders go on"
ALERT_UNHEARD = "unheard: a webhook is the first of a request that is complete already; nobody is told"
ALERT_LATE_SENT = "late_sent: a webhook says sent of a request known for longer than webhooks are repeated"


def learnt(known: AccountAnswers, answer: ApiRequest) -> AccountAnswers:
    """With one more answer of the API: shares of the answers that say the status, and who has signed."""
    read = min(known.read + 1, REMEMBERED)
    flags = [s.signed for s in answer.signers if s.role is Role.SIGNER]
    return AccountAnswers(
        read=read,
        status=known.status + ((answer.status is not None) - known.status) / read,
        signed=known.signed + ((bool(flags) and None not in flags) - known.signed) / read,
        shown=known.shown or True in flags,
    )


def says_status(usual: AccountAnswers) -> bool:
    """Whether this account's API usually says how a request stands."""
    return usual.read >= LEAST_READ and usual.status >= USUALLY


def says_signed(usual: AccountAnswers) -> bool:
    """Whether it usually says who has signed."""
    return usual.read >= LEAST_READ and usual.signed >= USUALLY


def shows_signatures(usual: AccountAnswers) -> bool:
    """Whether it has ever shown that somebody has signed: only then is its denial of a signature worth anything."""
    return usual.shown


def says_complete(usual: AccountAnswers) -> bool:
    """Whether it usually says, in either way, that a request is complete."""
    return says_status(usual) or says_signed(usual)


def in_words(usual: AccountAnswers) -> str:
    """For operators."""
    if usual.read < LEAST_READ:
        return f"not known yet: {usual.read} of {LEAST_READ} answers read"

    def often(share: float) -> str:
        return "usually" if share >= USUALLY else "sometimes" if share > 1 - USUALLY else "never"

    return f"{often(usual.status)} the status, {often(usual.signed)} who has signed"


def sent_in_time(before: Request, now: datetime, policy: Policy) -> bool:
    """Whether a Sent may still invite: not the signers of a request that was met otherwise long before."""
    met = before.met_at if before.adopted else None
    return met is None or now - met <= policy.days(SENT_WAIT_DAYS)


def doubted(signer: Signer, now: datetime) -> Signer:
    """Signed, as a webhook says and the API denies: they are not reminded, and nobody is told until the API agrees."""
    since = signer.doubted_since or now
    return replace(signer, state=SignerState.SIGNED, reminders={}, doubted_since=since)


def ended_long_ago(before: Request, now: datetime, policy: Policy) -> bool:
    """Whether its end is older than webhooks are repeated: another one brings no news."""
    ended = before.purge_at - policy.days(policy.retention_days) if before.purge_at else now
    return before.status is Status.COMPLETE and now - ended > policy.days(SENT_WAIT_DAYS)


def every_signed_heard(request: Request, signers: Signers) -> bool:
    """Whether a Signed of each signer was heard. An id that fits nobody counts as one: the API may show no ids."""
    those = counted(signers)
    heard = sum(s.state is SignerState.SIGNED for s in those) + len(request.unmatched)
    return bool(those) and heard >= len(those)


def has_waited(heard_at: datetime, now: datetime, policy: Policy) -> bool:
    """Whether a Complete heard then has waited long enough for its proof."""
    return now - heard_at >= policy.span(PROOF_WAIT, floor=2)


def was_followed(request: Request, signers: Signers) -> bool:
    """Whether this service has heard of the request before its end: its Sent, or a signature."""
    return not request.adopted or bool(request.unmatched) or any(s.signed_at for s in signers.values())


def heard_complete(request: Request, at: datetime | None) -> Request:
    """The request with a Complete that waits for its proof since then; None: with none."""
    return replace(request, complete_heard_at=at)
