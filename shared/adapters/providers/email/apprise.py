"""E-mail by any of the services Apprise knows, see `common.apprise`."""

from collections.abc import Callable
from datetime import datetime

from shared.adapters.providers.common.apprise import CANNOT_FIND, DOCUMENTATION, AppriseSender, url_of
from shared.setting_types import ProviderSpec, Values

URL = url_of("APPRISE_EMAIL_URL")
SPEC = ProviderSpec(title="Apprise (e-mail)", documentation=DOCUMENTATION, sending=(URL,), cannot_find=CANNOT_FIND)


class Sender(AppriseSender):
    def __init__(self, values: Values, clock: Callable[[], datetime]) -> None:
        super().__init__(values[URL], URL.name)
