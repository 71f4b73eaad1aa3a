"""Any of the services Apprise knows (https://github.com/caronc/apprise/wiki), by a URL with `{to}` for the recipient.

Apprise answers yes or no and keeps the reason to itself: a "no" may be a refusal as well as an answer lost on the way.
So it is taken as unknown: sent again blindly, a signer might get everything twice. Choose a provider with an adapter
of its own where you can.
"""

import logging
from urllib.parse import quote

from shared.adapters.providers.common.rules import SETTINGS
from shared.domain.errors import Accepted, OutcomeUnknown
from shared.ports import Outgoing
from shared.setting_types import Setting

CANNOT_FIND = "Apprise sends and keeps no list"
DOCUMENTATION = "https://github.com/caronc/apprise/wiki"


def url_of(name: str) -> Setting[str]:
    meaning = "an Apprise URL with `{to}` in the recipient's place. Second best: Apprise only says yes or no"
    wanted = "an Apprise URL with {to} in the place of the recipient"
    return Setting(name=name, meaning=meaning, parse=_url, wanted=wanted, default=None, secret=True)


def _url(value: str) -> str:
    if "{to}" not in value:
        raise ValueError
    return value


class AppriseSender:
    """variable: the setting that `url` comes from."""

    name = "apprise"

    def __init__(self, url: str, variable: str) -> None:
        self._url, self._variable = url, variable

    def send(self, message: Outgoing) -> Accepted:
        from apprise import Apprise, NotifyFormat

        logging.getLogger("apprise").setLevel(logging.CRITICAL)  # it logs addresses and answers
        service = Apprise()
        if not service.add(self._url.replace("{to}", quote(message.to, safe=""))):
            raise SETTINGS(f"it does not know this kind of URL; check {self._variable}").error("Apprise", "add")
        body = (message.html, NotifyFormat.HTML) if message.html else (message.text, NotifyFormat.TEXT)
        if not service.notify(body=body[0], title=message.subject, body_format=body[1]):
            raise OutcomeUnknown("Apprise could not send, and does not tell whether anything left")
        return Accepted("")
