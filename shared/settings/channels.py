"""The channels: by which provider and shortener messages go out, and how often it is tried."""

from shared.adapters.providers import registry as providers
from shared.adapters.providers.common import settings as common
from shared.adapters.shorteners import registry as shorteners
from shared.domain.model import ChannelName
from shared.setting_types import Setting, choice, split, whole

SMS_PROVIDERS = (*providers.names(ChannelName.SMS), "outbox", "none")
EMAIL_PROVIDERS = (*providers.names(ChannelName.EMAIL), "outbox", "none")
SHORTENERS = shorteners.names()


def _former(value: str) -> tuple[str, ...]:
    names = split(value)
    if set(names) - {name for _, name in providers.every()}:
        raise ValueError
    return names


SMS_PROVIDER = choice("SMS_PROVIDER", SMS_PROVIDERS, "none", "`outbox` is local only")
EMAIL_PROVIDER = choice("EMAIL_PROVIDER", EMAIL_PROVIDERS, "none", "`outbox` is local only")
FORMER_PROVIDERS: Setting[tuple[str, ...]] = Setting(
    name="FORMER_PROVIDERS",
    meaning="comma-separated; providers used before, whose receipts are still taken: leave one here for a few days",
    parse=_former,
    wanted=f"names of providers, comma-separated: of {', '.join(sorted({*SMS_PROVIDERS[:-2], *EMAIL_PROVIDERS[:-2]}))}",
)
CHANNEL_POLICY = choice(
    "CHANNEL_POLICY",
    ("send_to", "all", "sms-first", "email-first", "sms", "email"),
    "send_to",
    "`send_to`: as the request says, else every contact; `-first`: the other channel takes over what does not arrive",
)
SHORTENER = choice(
    "SHORTENER",
    SHORTENERS,
    "links",
    "`links` is our own; a public one sees every signing link, and US carriers reject texts with shared domains",
)
EMAIL_FROM, EMAIL_REPLY_TO = common.EMAIL_FROM, common.EMAIL_REPLY_TO  # declared where the providers read them
RECEIPTS_BASE_URL = common.RECEIPTS_BASE_URL
MAX_ATTEMPTS = whole(
    "MAX_ATTEMPTS",
    "sends of one notice before it is `failed`; those while the provider is down, or over its pace, do not count",
    20,
)
MAX_DELIVERY_ATTEMPTS = whole(
    "MAX_DELIVERY_ATTEMPTS",
    "deliveries of one message before it goes to the dead letters, 5 to 100; in the cloud Terraform's",
    100,
    least=5,
    most=100,
)
