"""What happens at Clickwrap and around the relay in a run, made from its seed alone."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from shared.domain.model import ApiRequest, ApiSigner, ChannelName, Role, Status

MINUTE, HOUR, DAY = 60.0, 3_600.0, 86_400.0


@dataclass(frozen=True)
class Person:
    name: str
    ids: tuple[str, ...]
    mobile: str
    email: str
    send_to: tuple[str, ...] = ()
    order: int = 0


@dataclass(frozen=True)
class Act:
    """at: seconds from the start. hooks: for each copy of the webhook its delay in seconds and its event id.

    ended: the same for the `request_complete` that follows the last signature.
    """

    at: float
    what: str
    who: str = ""
    hooks: tuple[tuple[float, str], ...] = ()
    ended: tuple[tuple[float, str], ...] = ()
    value: Any = None


@dataclass(frozen=True)
class Script:
    """silent: the API shows neither the status nor who has signed. calm: when the last fault is over, in seconds.

    ends: when the run does. policy: fields of Policy. skew: seconds by which the second instance's clock is ahead.
    askable: channels whose provider can be asked what it took.
    """

    people: tuple[Person, ...]
    acts: tuple[Act, ...]
    calm: float
    ends: float
    ordered: bool = False
    silent: bool = False
    skew: float = 0.0
    policy: tuple[tuple[str, Any], ...] = ()
    askable: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    person: Person
    signed: bool = False
    role: Role = Role.SIGNER


@dataclass(frozen=True)
class Facts:
    """What is so at Clickwrap. revision: counts how often all signatures were asked for again."""

    at: float
    status: Status
    rows: tuple[Row, ...]
    ordered: bool
    revision: int = 0

    def row(self, name: str) -> Row | None:
        return next((r for r in self.rows if r.person.name == name), None)

    def signs(self, name: str) -> bool:
        """Whether they are on the request, and their signature counts."""
        row = self.row(name)
        return row is not None and row.role is Role.SIGNER

    def turn(self, row: Row) -> bool:
        """Whether this signer may sign now."""
        if row.role is not Role.SIGNER or row.signed:
            return False
        before = [r for r in self.rows if r.person.order < row.person.order]
        return not self.ordered or all(r.signed or r.role is not Role.SIGNER for r in before)

    @property
    def complete(self) -> bool:
        return all(r.signed or r.role is not Role.SIGNER for r in self.rows)

    def answer(self, *, silent: bool) -> ApiRequest:
        rows = tuple(self._signer(r, silent=silent) for r in self.rows)
        return ApiRequest(
            id="r1",
            title="Lease",
            sender="ACME",
            status=None if silent else self.status,
            ordered=self.ordered,
            signers=rows,
        )

    def _signer(self, row: Row, *, silent: bool) -> ApiSigner:
        p = row.person
        return ApiSigner(
            ids=p.ids,
            name=p.name,
            email=p.email,
            mobile=p.mobile,
            send_to={c: c.value in p.send_to for c in (ChannelName.SMS, ChannelName.EMAIL)} if p.send_to else {},
            role=row.role,
            order=p.order if self.ordered else None,
            request_url=f"https://sign.test/{p.name}",
            signed=None if silent else row.signed,
        )


def after(facts: Facts, act: Act, people: dict[str, Person]) -> Facts:
    """The facts after an act; the same object where it is not possible."""
    rule = RULES.get(act.what)
    return replace(new, at=act.at) if rule and (new := rule(facts, act, people)) is not facts else facts


def _sign(facts: Facts, act: Act, people: dict[str, Person]) -> Facts:
    row = facts.row(act.who)
    if row is None or facts.status is not Status.OPEN or not facts.turn(row):
        return facts
    signed = replace(facts, rows=tuple(replace(r, signed=True) if r is row else r for r in facts.rows))
    return replace(signed, status=Status.COMPLETE) if signed.complete else signed


def _status(to: Status, *of: Status) -> Any:
    def rule(facts: Facts, act: Act, people: dict[str, Person]) -> Facts:
        return replace(facts, status=to) if facts.status in of else facts

    return rule


def _revise(facts: Facts, act: Act, people: dict[str, Person]) -> Facts:
    """Paused, revised and sent again: everyone has to sign anew."""
    if facts.status not in (Status.OPEN, Status.PAUSED) or not any(r.signed for r in facts.rows):
        return facts
    rows = tuple(replace(r, signed=False) for r in facts.rows)
    return replace(facts, rows=rows, status=Status.OPEN, revision=facts.revision + 1)


def _delegate(facts: Facts, act: Act, people: dict[str, Person]) -> Facts:
    """The signer becomes a recipient, and another takes their place."""
    row = facts.row(act.who)
    new = people.get(str(act.value))
    if row is None or new is None or facts.row(new.name) or facts.status is not Status.OPEN or not facts.turn(row):
        return facts
    rows = tuple(replace(r, role=Role.RECIPIENT) if r is row else r for r in facts.rows)
    return replace(facts, rows=(*rows, Row(new)))


def _remove(facts: Facts, act: Act, people: dict[str, Person]) -> Facts:
    row = facts.row(act.who)
    others = [r for r in facts.rows if r is not row and r.role is Role.SIGNER and not r.signed]
    if row is None or row.signed or not others or facts.status not in (Status.OPEN, Status.PAUSED):
        return facts
    return replace(facts, rows=tuple(r for r in facts.rows if r is not row))


def _back(facts: Facts, act: Act, people: dict[str, Person]) -> Facts:
    """Who was taken off is on it again, as they were at first. value: listed first (0) or last (1)."""
    if facts.status not in (Status.OPEN, Status.PAUSED) or facts.row(act.who):
        return facts
    row = Row(people[act.who])
    return replace(facts, rows=(*facts.rows, row) if act.value else (row, *facts.rows))


def _add(facts: Facts, act: Act, people: dict[str, Person]) -> Facts:
    """value: listed first (0) or last (1)."""
    new = people.get(act.who)
    if new is None or facts.row(new.name) or facts.status is not Status.OPEN:
        return facts
    return replace(facts, rows=(*facts.rows, Row(new)) if act.value else (Row(new), *facts.rows))


def _correct(facts: Facts, act: Act, people: dict[str, Person]) -> Facts:
    """Another number, or e-mail address."""
    row = facts.row(act.who)
    if row is None or facts.status not in (Status.OPEN, Status.PAUSED):
        return facts
    other = _with_address(row.person, str(act.value))
    return replace(facts, rows=tuple(replace(r, person=other) if r is row else r for r in facts.rows))


def _with_address(p: Person, address: str) -> Person:
    """The same where they have none of this sort. An e-mail address that is one of their ids stays one."""
    if "@" not in address:
        return replace(p, mobile=address) if p.mobile else p
    return replace(p, email=address, ids=tuple(address if i == p.email else i for i in p.ids)) if p.email else p


RULES: dict[str, Any] = {
    "sign": _sign,
    "pause": _status(Status.PAUSED, Status.OPEN),
    "resume": _status(Status.OPEN, Status.PAUSED),
    "expire": _status(Status.EXPIRED, Status.OPEN, Status.PAUSED),
    "extend": _status(Status.OPEN, Status.EXPIRED),
    "revise": _revise,
    "delegate": _delegate,
    "remove": _remove,
    "add": _add,
    "back": _back,
    "correct": _correct,
    "shuffle": lambda f, a, p: replace(f, rows=f.rows[::-1]) if len(f.rows) > 1 else f,
}
HOOKS = {"sent": "request_sent", "sign": "request_signed", "expire": "request_expired", "extend": "request_sent"}
HOOKS["revise"] = "request_sent"

# -- from a seed

NAMES = ("ann", "bob", "cem")


def script(seed: int) -> Script:
    """The script of a seed."""
    drawn, forged, returns = _Draw(Random(f"{seed}/script")).script(), *_randoms(seed, "forged", "returns")
    if forged.random() < 0.2:
        return _with_forgeries(drawn, forged)
    return _with_returns(drawn, returns) if returns.random() < 0.15 else drawn


def _randoms(seed: int, *parts: str) -> Iterator[Random]:
    return (Random(f"{seed}/{part}") for part in parts)


FORGED = ("request_sent", "request_signed", "request_complete", "request_expired")


def _with_forgeries(drawn: Script, r: Random) -> Script:
    """Somebody has the webhook's token, and posts of a request that this service has met in one way or another.

    Half of these scripts hold nothing else but signatures: there the oracle is strict.
    """
    met = r.choice(("never", "adopted", "open", "complete"))
    unheard = {"never": ("sent", "sign"), "adopted": ("sent",)}.get(met, ())
    plain = r.random() < 0.5
    people = [p for p in drawn.people if not p.name.startswith("dan")]
    acts = [a for a in drawn.acts if not plain or a.what in ("sent", "sign")]
    acts = [replace(a, hooks=(), ended=a.ended if met != "never" else ()) if a.what in unheard else a for a in acts]
    if plain and met in ("never", "complete"):  # all have signed
        acts = [a for a in acts if a.what == "sent"]
        acts += [
            Act(n + 1.0, "sign", p.name, *[() if unheard else ((0.0, f"s{n}"),)] * 2) for n, p in enumerate(people)
        ]
    over = max(a.at for a in acts)
    first = {"open": r.random() * over, "never": r.choice((1.0, over + 1.0))}.get(met, over + 1.0)
    names = (*[p.name for p in people], "nobody")
    for n in range(r.choice((1, 1, 2, 3))):
        at = first + n * r.choice((1.0, 3 * MINUTE, 15 * MINUTE)) + r.choice((0.0, 0.0, 26 * HOUR))
        acts.append(Act(round(at, 3), "forged", r.choice(names), ((0.0, f"f{n}"),), value=r.choice(FORGED)))
    later = max(0.0, max(a.at for a in acts) - drawn.calm)
    return replace(
        drawn,
        acts=tuple(sorted(acts, key=lambda a: a.at)),
        calm=drawn.calm + later,
        ends=drawn.ends + later,
        silent=r.random() < 0.5,
        ordered=drawn.ordered and not plain,
    )


def _with_returns(drawn: Script, r: Random) -> Script:
    """A signer is taken off and put back, or corrected and corrected back; in two of three, while messages wait.

    Half of these scripts hold nothing else but signatures.
    """
    plain = r.random() < 0.5
    acts = [a for a in drawn.acts if not plain or a.what in ("sent", "sign")]
    people = [p for p in drawn.people if not p.name.startswith("dan")]
    at = r.choice((0.0, 0.0, r.random() * max(a.at for a in acts))) + r.choice((1.0, 30.0, 5 * MINUTE))
    who = r.choice(people)
    away, back = _there_and_back(r, who, at, alone=len(people) == 1)
    if r.random() < 0.7:  # they are still due in the end
        acts = [a for a in acts if (a.what, a.who) != ("sign", who.name)]
    acts += [*_waiting(r, at, back.at), away, back]
    later = max(0.0, max(a.at for a in acts) - drawn.calm)
    acts = sorted((replace(a, at=round(a.at, 3)) for a in acts), key=lambda a: a.at)
    return replace(drawn, acts=tuple(acts), calm=drawn.calm + later, ends=drawn.ends + later)


def _there_and_back(r: Random, p: Person, at: float, *, alone: bool) -> tuple[Act, Act]:
    back = at + r.choice((1.0, 2 * MINUTE, 12 * MINUTE, 2 * HOUR, 9 * HOUR, 2 * DAY))
    if not alone and r.random() < 0.5:
        return Act(at, "remove", p.name), Act(back, "back", p.name, value=r.randrange(2))
    mobile = not p.email or (p.mobile and r.random() < 0.5)
    there = f"+1317555030{r.randrange(3)}" if mobile else f"new{r.randrange(3)}@x.org"
    return Act(at, "correct", p.name, value=there), Act(back, "correct", p.name, value=p.mobile if mobile else p.email)


def _waiting(r: Random, at: float, back: float) -> list[Act]:
    """A pause, or a provider that is down, from shortly before somebody goes until before or after they are back."""
    begins = at - r.choice((0.5, 0.9, at))
    over = r.choice((at + 0.5 * (back - at), back + r.choice((0.5, 3 * MINUTE, 8 * HOUR))))
    what = r.choice(("pause", "outage", ""))
    if what == "outage":
        begins = max(begins, over - 6 * DAY)  # after seven an invitation is too late
        return [Act(begins, what, r.choice(("sms", "email")), value=(round(over - begins, 3), "later"))]
    return [Act(begins, "pause"), Act(over, "resume")] if what else []


class _Draw:
    def __init__(self, random: Random) -> None:
        self._r, self._hooks = random, 0

    def _odds(self, share: float) -> bool:
        return self._r.random() < share

    def script(self) -> Script:
        r = self._r
        n = r.choices((1, 2, 3), (4, 4, 2))[0]
        shared = n > 1 and self._odds(0.1)
        form = r.choices(("plain", "with e-mail", "none"), (6, 3, 1))[0]
        people = tuple(self._person(k, form, shared=shared) for k in range(n))
        slow = self._odds(0.25)
        span = r.choice((2 * DAY, 6 * DAY, 16 * DAY)) if slow else r.choice((5.0, MINUTE, 20 * MINUTE, 2 * HOUR))
        acts, extra = self._acts(people, span)
        people = (*people, *extra)
        last = max(a.at for a in acts)
        calm = last + r.choice((0.0, 10 * MINUTE, HOUR))
        tail = r.choices((8 * HOUR, 17 * DAY), (9, 1))[0] if not slow else 17 * DAY
        if self._odds(0.01):
            tail = 140 * DAY
        return Script(
            people=people,
            acts=tuple(sorted(acts, key=lambda a: a.at)),
            calm=calm,
            ends=calm + tail,
            ordered=n > 1 and self._odds(0.25),
            silent=self._odds(0.12),
            skew=r.choice((0.0, 0.0, 0.0, 1.5, 5.0, -5.0)),
            policy=self._policy(),
            askable=r.choices(((), ("sms",), ("sms", "email")), (5, 3, 2))[0],
        )

    def _policy(self) -> tuple[tuple[str, Any], ...]:
        r, fields = self._r, dict[str, Any]()
        if self._odds(0.75):
            fields["window"] = None
        fields["channels"] = r.choices(("send_to", "all", "sms-first", "email-first"), (6, 1, 2, 1))[0]
        fields["progress_to"] = r.choices(("others", "all", "none"), (6, 2, 2))[0]
        return tuple(fields.items())

    def _person(self, k: int, form: str, *, shared: bool) -> Person:
        name = NAMES[k]
        has = self._r.choices(("sms", "email", "both"), (4, 3, 3))[0]
        email = ("office@x.org" if shared else f"{name}@x.org") if has != "sms" or shared else ""
        mobile = f"+1317555010{k}" if has != "email" and not shared else ""
        ids = {"plain": (name,), "with e-mail": (name, *([email] if email else [])), "none": ()}[form]
        return Person(name, ids, mobile, email, order=k)

    def _copies(self) -> tuple[tuple[float, str], ...]:
        """Of a webhook: lost, on time, late, doubled with the same id or another."""
        r = self._r
        if self._odds(0.05):
            return ()
        copies = []
        for _ in range(2 if self._odds(0.2) else 1):
            if not copies or self._odds(0.3):
                self._hooks += 1
            late = r.choice((0.0, 0.5, 5.0, 90.0, 15 * MINUTE)) if self._odds(0.3) else 0.0
            copies.append((late, f"e{self._hooks}"))
        return tuple(copies)

    def _acts(self, people: tuple[Person, ...], span: float) -> tuple[list[Act], list[Person]]:
        r, extra = self._r, list[Person]()
        acts = [Act(0.0, "sent", hooks=self._copies())]
        when = lambda: round(r.random() * span, 3)  # noqa: E731
        for p in people:
            if self._odds(0.7):
                acts.append(Act(when(), "sign", p.name, self._copies(), self._copies()))
        for _ in range(r.choices((0, 1, 2, 4), (5, 3, 2, 1))[0]):
            acts += self._life(people, extra, when)
        for _ in range(r.choices((0, 1, 2), (6, 3, 1))[0]):
            acts.append(self._around(people, when, span))
        return acts, extra

    def _life(self, people: tuple[Person, ...], extra: list[Person], when: Any) -> list[Act]:
        r = self._r
        who = r.choice(people).name
        what = r.choices(
            ("pause", "expire", "revise", "delegate", "remove", "add", "correct", "shuffle"), (3, 3, 3, 2, 1, 1, 2, 1)
        )[0]
        at = when()
        if what == "pause":
            return [Act(at, "pause"), Act(at + when(), "resume")]
        if what == "expire":
            more = [Act(at + when(), "extend", hooks=self._copies() if self._odds(0.5) else ())]
            return [Act(at, "expire", hooks=self._copies()), *(more if self._odds(0.5) else [])]
        if what == "revise":
            again = [
                Act(at + when(), "sign", p.name, self._copies(), self._copies()) for p in people if self._odds(0.6)
            ]
            return [Act(at, "revise", hooks=self._copies() if self._odds(0.7) else ()), *again]
        if what in ("delegate", "add"):
            name = f"dan{len(extra)}"
            mailbox = r.choice([p.email for p in people]) if self._odds(0.3) else ""
            ids = (name, mailbox) if mailbox else (name,)
            extra.append(Person(name, ids, f"+1317555020{len(extra)}", mailbox, order=9))
            signs = Act(at + when(), "sign", name, self._copies(), self._copies())
            new = (
                Act(at, "delegate", who, value=name)
                if what == "delegate"
                else Act(at, "add", name, value=r.randrange(2))
            )
            return [new, *([signs] if self._odds(0.6) else [])]
        if what == "correct":
            return [Act(at, "correct", who, value=f"+1317555030{r.randrange(3)}")]
        return [Act(at, what, who)]

    def _around(self, people: tuple[Person, ...], when: Any, span: float) -> Act:
        """An outage, an operator, a forged webhook, a document that cannot be read."""
        r = self._r
        what = r.choices(
            ("outage", "resend", "stop", "restart", "clear", "replay", "forged", "unreadable", "poison"),
            (6, 3, 1, 1, 1, 2, 2, 1, 1),
        )[0]
        if what == "outage":
            which = r.choice(("api", "sms", "email", "bus", "ledger"))
            lasts = r.choice((30.0, 5 * MINUTE, HOUR, 6 * HOUR))
            how = r.choice(("later", "lost", "403", "429"))
            return Act(when(), "outage", which, value=(lasts, how))
        if what == "forged":
            return Act(
                when(),
                "forged",
                r.choice((*[p.name for p in people], "nobody")),
                self._copies(),
                value=r.choice(("request_signed", "request_complete", "request_expired", "request_sent")),
            )
        if what == "unreadable":
            return Act(when(), "unreadable", value=r.choice((MINUTE, 20 * MINUTE, 2 * HOUR)))
        return Act(when(), what, value=r.randrange(100))
