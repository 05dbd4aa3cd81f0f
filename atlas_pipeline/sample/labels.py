"""Labels of the sample's columns: the kind of personal data in each, for measuring detection.

Does not belong here: labels of spans in free text, which `tickets.py` writes.
"""

from __future__ import annotations

from atlas_pipeline.sample import customers, orders, tickets

_KINDS = {
    "customers": {
        "full_name": "PERSON",
        "email": "EMAIL_ADDRESS",
        "phone": "PHONE_NUMBER",
        "date_of_birth": "DATE_OF_BIRTH",
        "street_address": "LOCATION",
        "city": "LOCATION",
        "postcode": "LOCATION",
    },
    "orders": {"payment_card": "CREDIT_CARD", "ip_address": "IP_ADDRESS"},
    "support_tickets": {"agent": "PERSON"},
}
"""A country alone does not identify anybody, so country and shipping_country are not labelled."""
_COLUMNS = {"customers": customers.COLUMNS, "orders": orders.COLUMNS, "support_tickets": tickets.COLUMNS}
_FREE_TEXT = {"support_tickets": ("subject", "body")}


def columns() -> dict[str, dict[str, dict[str, object]]]:
    """Per dataset and column: the kind of personal data (Presidio's names, or None) and whether it is free text."""
    return {
        dataset: {
            name: {"kind": _KINDS[dataset].get(name), "free_text": name in _FREE_TEXT.get(dataset, ())}
            for name in names
        }
        for dataset, names in _COLUMNS.items()
    }
