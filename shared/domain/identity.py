"""Who is who: which stored signer a row of an answer shows, and whom a signer id means.

Own ids decide. An e-mail address, which two people may share, counts only where it can mean one person alone.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

from shared.domain.model import ApiSigner, Signer

Ids = Sequence[str]
Tokens = Callable[[Ids, str], Iterable[Hashable]]  # what identifies, of somebody's ids and name


def own_ids(ids: Ids) -> list[str]:
    """Those that name one person: the first, which is the strongest, and all that are no address."""
    return [*ids[:1], *(i for i in ids[1:] if not _is_address(i))]


def keys_of(rows: Sequence[ApiSigner], known: Mapping[str, Signer]) -> dict[int, str]:
    """The keys of the known signers that the rows show, by the rows' places.

    Each rule goes over all rows before the next: somebody listed first takes nobody else's place.
    """
    keys = dict[int, str]()
    for wanted, held in RULES:
        if len(keys) < len(rows):
            _match(keys, rows, known, wanted, held)
    left = {place: row.ids for place, row in enumerate(rows) if place not in keys}
    taken = set(keys.values())
    return keys | _by_address(left, {key: s.aliases for key, s in known.items() if left and key not in taken})


RULES: tuple[tuple[Tokens, Tokens], ...] = (  # of a row, and of the signers it may show
    (lambda ids, name: [(ids[0], name)], lambda ids, name: [(i, name) for i in own_ids(ids)]),
    (lambda ids, name: ids[:1], lambda ids, name: own_ids(ids)),
    (lambda ids, name: own_ids(ids), lambda ids, name: own_ids(ids)),
)


def _match(
    keys: dict[int, str], rows: Sequence[ApiSigner], known: Mapping[str, Signer], wanted: Tokens, held: Tokens
) -> None:
    """Adds to `keys` the rows of which a token is held by a signer who is not matched yet."""
    holders, taken = _holders({k: held(s.aliases, s.name) for k, s in known.items()}), set(keys.values())
    for place, row in enumerate(rows):
        tokens = wanted(row.ids, row.name) if place not in keys else ()
        key = next((k for token in tokens for k in holders[token] if k not in taken), None)
        if key is not None:
            keys[place] = key
            taken.add(key)


def _holders(tokens: Mapping[str, Iterable[Hashable]]) -> dict[Hashable, list[str]]:
    holders = defaultdict[Hashable, list[str]](list)
    for key, held in tokens.items():
        for token in held:
            holders[token].append(key)
    return holders


def _by_address(rows: Mapping[int, Ids], known: Mapping[str, Ids]) -> dict[int, str]:
    """An address that one row and one signer have; and one of the two has nothing else: other ids would differ."""
    of_rows = _holders({str(place): ids for place, ids in rows.items()})
    keys = dict[int, str]()
    for token, (key, *others) in _holders(known).items():
        places = of_rows.get(token, [])
        if len(places) == 1 and not others and _only_addresses(rows[int(places[0])], known[key]):
            keys[int(places[0])] = key
    return keys


def _only_addresses(*people: Ids) -> bool:
    return any(all(map(_is_address, ids)) for ids in people)


def _is_address(text: str) -> bool:
    return "@" in text


def named(signers: Mapping[str, Signer], alias: str | None) -> list[str]:
    """Keys of the signers whose own id this is; of those who have it as an address, where it is nobody's own."""
    own = [key for key, signer in signers.items() if alias in own_ids(signer.aliases)]
    return own or [key for key, signer in signers.items() if alias in signer.aliases]
