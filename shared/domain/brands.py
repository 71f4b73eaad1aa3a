"""In whose name a site's messages go out: the name, the addresses, the links' domain, the language."""

from collections.abc import Mapping

import msgspec


class Brand(msgspec.Struct, frozen=True, kw_only=True):
    """What is "" is the relay's own: the settings of the same meaning.

    name: as signers know the company. contact: where they may ask. email_from, email_reply_to: addresses, with or
    without a name. sms_from: a number or name of the SMS provider's account. links_domain: serves `links`.
    """

    name: str = ""
    contact: str = ""
    email_from: str = ""
    email_reply_to: str = ""
    sms_from: str = ""
    links_domain: str = ""
    language: str = ""


class Brands(msgspec.Struct, frozen=True):
    """The relay's own brand, and those of single sites, by the site's id."""

    own: Brand = Brand(name="Ironclad Clickwrap")
    sites: Mapping[str, Brand] = {}

    def of(self, site: str) -> Brand:
        """The brand of a site's messages. A contact is not taken from another brand's addresses."""
        given = self.sites.get(site, Brand())
        chosen = {name: getattr(given, name) or getattr(self.own, name) for name in Brand.__struct_fields__}
        contact = given.contact or address_in(given.email_reply_to or given.email_from) or self.own.contact
        return Brand(**chosen | {"contact": contact})

    def site_at(self, host: str) -> str:
        """The site that has this host for the domain of its links; "" where none has. host: perhaps with a port."""
        domain = host.partition(":")[0].lower()
        return next((site for site, brand in self.sites.items() if domain and brand.links_domain.lower() == domain), "")


ONE_BRAND = Brands()


def address_in(text: str) -> str:
    """The bare address of "Acme Legal <legal@example.com>"."""
    return text.rpartition("<")[2].rstrip("> ")
