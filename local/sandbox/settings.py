"""Settings of the sandbox: variants of undocumented responses, and faults of the next responses."""

from typing import Annotated, Any, Literal

import msgspec

from local.sandbox.drafts import Invalid
from shared.domain.decodable import decodable

HeaderText = Annotated[str, msgspec.Meta(pattern=r"^[\x20-\x7e]*$", max_length=1_000)]


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A fault of one API response.

    delay: seconds. Without status and body, the response is only delayed.
    body: text is sent unchanged, other values as JSON; None is the vendor's error body for the status.
    """

    status: Annotated[int, msgspec.Meta(ge=200, le=599)] | None = None
    headers: dict[HeaderText, HeaderText] = {}
    body: Any = None
    delay: Annotated[float, msgspec.Meta(ge=0, le=120)] = 0.0

    @property
    def is_delay(self) -> bool:
        return self.status is None and self.body is None


@decodable
class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The settings.

    envelope: the object itself, or {"data": object}. fields: all, or only the documented ones.
    webhooks: sent, or lost, as after an outage of 24 hours. api_token: the accepted token; "" accepts any.
    faults: of the next API responses, each used once.
    """

    envelope: Literal["bare", "data"] = "bare"
    fields: Literal["full", "documented"] = "full"
    webhooks: Literal["sent", "lost"] = "sent"
    api_token: str = ""
    faults: list[Fault] = []

    def updated(self, changes: object) -> "Settings":
        """These settings with `changes`, a dict. Raises Invalid."""
        if not isinstance(changes, dict):
            raise Invalid("settings: send a JSON object")
        try:
            return msgspec.convert({**msgspec.to_builtins(self), **changes}, Settings)
        except msgspec.ValidationError as error:
            raise Invalid(f"settings: {error}") from None


def as_form(settings: Settings) -> dict[str, str]:
    """The settings as strings for the form; `changes_of_form` is the inverse."""
    faults = msgspec.json.format(msgspec.json.encode(settings.faults)).decode() if settings.faults else ""
    return {**msgspec.structs.asdict(settings), "faults": faults}


def changes_of_form(form: dict[str, str]) -> dict[str, Any]:
    """The changes in a submitted form; its field `faults` is a JSON list. Raises Invalid."""
    text = form.get("faults", "").strip()
    try:
        faults = msgspec.json.decode(text) if text else []
    except msgspec.DecodeError as error:
        raise Invalid(f"faults: not JSON ({error})") from None
    return {**form, "faults": faults}
