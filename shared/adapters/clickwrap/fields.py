"""Along which paths each field of `GET /requests/:id` is looked for. The operator may replace or add some."""

import re
from collections.abc import Mapping

Fields = Mapping[str, tuple[str, ...]]

FIELDS: Fields = {
    "id": ("id", "_id", "request_id"),
    "title": ("name", "title", "contracts.*.title", "render_data.request_name"),
    "status": ("status", "state"),
    "expired": ("expired", "is_expired"),
    "paused": ("paused", "is_paused"),
    "archived": ("archived", "is_archived"),
    "site": ("site.id", "site", "site_id"),
    "language": ("language", "locale", "render_data.language", "custom_data.language"),
    "sender": ("created_by.name", "sender.name", "sender", "from_name", "data.from_name"),
    "sender_email": ("created_by.email", "sender.email", "from_email", "data.from_email"),
    "ordered": ("signing_order", "ordered", "enforce_signing_order", "signer_order"),
    "created_at": ("sent_time", "created_time", "created_at"),
    "expires_at": ("expires_time", "expiration_time", "expire_time", "expires_at"),
    "download_url": ("download_url", "pdf_url"),
    "signers": ("signers",),
    "signer.ids": (
        "signer_id",
        "signer.signer_id",
        "id",
        "_id",
        "uuid",
        "signer.id",
        "signer._id",
        "signer.uuid",
        "signer.email",
        "email",
    ),
    "signer.name": ("signer.name", "name", "signer.additional_attributes.name"),
    "signer.first_name": ("signer.additional_attributes.first_name", "signer.first_name", "first_name"),
    "signer.last_name": ("signer.additional_attributes.last_name", "signer.last_name", "last_name"),
    "signer.email": ("signer.email", "email", "signer.additional_attributes.email"),
    "signer.mobile": ("signer.mobile_number", "mobile_number", "signer.additional_attributes.mobile_number"),
    "signer.send_email": ("send_to.email",),
    "signer.send_mobile": ("send_to.mobile_number",),
    "signer.role": ("role", "signer_role"),
    "signer.order": ("order", "signing_order"),
    "signer.request_url": ("request_url",),
    "signer.language": (
        "language",
        "locale",
        "signer.language",
        "signer.locale",
        "signer.additional_attributes.language",
        "signer.additional_attributes.locale",
    ),
    "signer.signed": ("signed", "has_signed", "agreed", "status", "state", "signed_time", "signed_at", "agreed_time"),
    "metadata.message": ("message", "note", "render_data.message", "data.message"),
    "metadata.company": ("company_name", "render_data.company_name"),
    "signer.metadata.company": ("signer.company_name", "signer.additional_attributes.company", "company_name"),
    "signer.metadata.title": ("signer.title", "signer.additional_attributes.title"),
}
METADATA = re.compile(r"(signer\.)?metadata\.[a-z][a-z0-9_]{0,39}")
