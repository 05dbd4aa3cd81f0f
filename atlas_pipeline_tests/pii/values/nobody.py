"""Columns of nobody's data that look like data of people: numbers of things, times, codes, measures.

Belongs here: values under headers of their own and under one that says nothing. Does not belong here: prose.
"""

import hashlib
import random
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from stdnum import ean, imo, isbn, isin, issn, luhn
from stdnum.iso7064 import mod_97_10

from atlas_pipeline_tests.pii.values.made import Value, matching

Make = Callable[[random.Random], object]
_START = datetime(2019, 1, 1, tzinfo=UTC)


def form(text: str) -> Make:
    """Make texts of a form."""
    return lambda rng: matching(rng, text)


def one_of(*values: object) -> Make:
    """Make one of some values."""
    return lambda rng: rng.choice(values)


def moment(layout: str) -> Make:
    """Make moments of six years, in a layout of strftime."""
    return lambda rng: (_START + timedelta(seconds=rng.randrange(6 * 365 * 86_400))).strftime(layout)


def epoch(scale: int) -> Make:
    """Make moments as whole numbers: seconds, or a thousand or million of them to a second."""
    return lambda rng: (int(_START.timestamp()) + rng.randrange(6 * 365 * 86_400)) * scale + rng.randrange(scale)


def checked(head: str, digit: Callable[[str], str]) -> Make:
    """Make numbers that end with a check digit."""

    def make(rng: random.Random) -> str:
        start = matching(rng, head)
        return start + digit(start)

    return make


def _series(first: int, step: int = 1) -> Make:
    state = {"next": first}

    def make(rng: random.Random) -> int:
        state["next"] += rng.randint(1, step)
        return state["next"]

    return make


def _isbn10(rng: random.Random) -> str:
    start = matching(rng, r"[0137]\d{8}")
    return start + isbn._calc_isbn10_check_digit(start)


def _cas(rng: random.Random) -> str:
    head = matching(rng, r"[1-9]\d{3,5}")
    tail = matching(rng, r"\d\d")
    total = sum(int(digit) * at for at, digit in enumerate(reversed(head + tail), 1))
    return f"{head}-{tail}-{total % 10}"


def _container(rng: random.Random) -> str:
    from stdnum import iso6346

    start = matching(rng, r"[A-Z]{3}U\d{6}")
    return str(start + iso6346.calc_check_digit(start))


def _digest(rng: random.Random) -> str:
    return hashlib.sha256(rng.randbytes(8)).hexdigest()


VALUES = (
    Value("order number, 8 digits", "order_no", form(r"[1-9]\d{7}")),
    Value("order number, 9 digits", "order_number", form(r"[1-9]\d{8}")),
    Value("order number, 10 digits", "order_id", form(r"[1-9]\d{9}")),
    Value("order number, 11 digits", "order_ref", form(r"[1-9]\d{10}")),
    Value("order number, 12 digits", "transaction_no", form(r"[1-9]\d{11}")),
    Value("order number, 13 digits", "document_no", form(r"[1-9]\d{12}")),
    Value("order number, 14 digits", "voucher_no", form(r"[1-9]\d{13}")),
    Value("order number, 15 digits", "payment_ref", form(r"[1-9]\d{14}")),
    Value("order number, 16 digits", "shipment_no", form(r"[1-9]\d{15}")),
    Value("order number, 18 digits", "parcel", form(r"[1-9]\d{17}")),
    Value("order number in a series", "invoice_no", _series(100_000_000)),
    Value("series of eleven digits", "entry_no", _series(52_998_220_000, 40)),
    Value("order number with letters", "order_code", form(r"SO-20\d\d-\d{6}")),
    Value("invoice with hyphens", "invoice", form(r"\d{4}-\d{4}-\d{4}")),
    Value("invoice with points", "invoice_ref", form(r"\d{3}\.\d{3}\.\d{3}")),
    Value("EAN-13", "ean", checked(r"[4-9]\d{11}", ean.calc_check_digit)),
    Value("EAN-8", "ean8", checked(r"[1-9]\d{6}", ean.calc_check_digit)),
    Value("UPC-A", "upc", lambda rng: checked(r"0[0-9]\d{10}", ean.calc_check_digit)(rng)[1:]),
    Value("GTIN-14", "gtin", checked(r"1\d{12}", ean.calc_check_digit)),
    Value("SSCC", "sscc", checked(r"[0-9]\d{16}", ean.calc_check_digit)),
    Value("ISBN-13", "isbn", checked(r"978\d{9}", ean.calc_check_digit)),
    Value("ISBN-10", "isbn10", _isbn10),
    Value("ISSN", "issn", lambda rng: issn.format(checked(r"\d{7}", issn.calc_check_digit)(rng))),
    Value("ISIN", "isin", checked(r"(?:US|DE|FR)\d{9}", isin.calc_check_digit)),
    Value("LEI", "lei", checked(r"5493[0-9A-Z]{14}", mod_97_10.calc_check_digits)),
    Value("IMO number", "imo", checked(r"9\d{5}", imo.calc_check_digit)),
    Value("CAS number", "cas_rn", _cas),
    Value("container", "container_no", _container),
    Value("seconds", "ts", epoch(1)),
    Value("milliseconds", "event_time", epoch(1_000)),
    Value("microseconds", "ts_us", epoch(1_000_000)),
    Value("moment, packed", "created", moment("%Y%m%d%H%M%S")),
    Value("moment, packed to minutes", "slot", moment("%y%m%d%H%M")),
    Value("moment, ISO", "updated_at", moment("%Y-%m-%dT%H:%M:%SZ")),
    Value("day", "order_date", moment("%Y-%m-%d")),
    Value("day, packed", "posting_day", moment("%Y%m%d")),
    Value("random digits, 6", "lot", form(r"\d{6}")),
    Value("random digits, 7", "batch", form(r"\d{7}")),
    Value("random digits, 20", "trace", form(r"[1-9]\d{19}")),
    Value("random digits, 22", "awb", form(r"[1-9]\d{21}")),
    Value("float", "measure", lambda rng: rng.random() * 1_000),
    Value("price", "price", lambda rng: f"{rng.randrange(100, 99_999) / 100:.2f}"),
    Value("share", "ratio", lambda rng: round(rng.random(), 4)),
    Value("temperature", "temperature", lambda rng: round(rng.gauss(12, 9), 1)),
    Value("stock balance", "stock_balance", lambda rng: rng.randrange(10_000)),
    Value("version", "app_version", form(r"[1-9]\.\d{1,2}\.\d{1,2}")),
    Value("SHA-256", "checksum", _digest),
    Value("commit, short", "commit", lambda rng: _digest(rng)[:12]),
    Value("UUID", "uuid", lambda rng: str(uuid.UUID(int=rng.getrandbits(128), version=4))),
    Value("ULID", "event_key", form(r"01[0-9A-HJKMNP-TV-Z]{24}")),
    Value("SKU", "sku", form(r"[A-Z]{3}-\d{4}-[A-Z]{2}")),
    Value("part number", "part_no", form(r"[A-Z]{2}\d{6}")),
    Value("tracking number", "tracking_no", form(r"1Z[0-9A-Z]{16}")),
    Value("flight", "flight", form(r"(?:LH|BA|AF|KL)\d{3,4}")),
    Value("country", "country", one_of("Germany", "France", "Brazil", "Japan", "India")),
    Value("country code", "country_code", one_of("DE", "FR", "BR", "JP", "IN")),
    Value("currency", "currency", one_of("EUR", "USD", "JPY", "BRL")),
    Value("status", "status", one_of("open", "closed", "pending", "shipped")),
    Value("color", "color", one_of("red", "blue", "dark green", "silver")),
    Value("product", "product_name", one_of("Steel Chair", "Oak Desk", "USB Cable", "Garden Hose", "Desk Lamp XL")),
    Value("category", "category", one_of("Furniture", "Garden", "Electronics")),
    Value("file", "file_name", form(r"report_\d{4}\.(?:pdf|csv)")),
    Value("host", "hostname", form(r"(?:web|db|cache)-\d{2}")),
    Value("path of a page", "page", one_of("/products/chairs", "/cart", "/blog/2024/05/sale", "/")),
    Value("URL of a page", "page_url", form(r"https://shop\.example/p/\d{5}\?color=(?:red|blue)&page=[1-9]")),
    Value("flag", "active", one_of("true", "false")),
    Value("hex color", "hex", form(r"#[0-9a-f]{6}")),
    Value("size", "size", one_of("S", "M", "L", "XL")),
    Value("payment with a Luhn digit", "receipt", checked(r"[1-9]\d{10}", luhn.calc_check_digit)),
    Value("score", "score", lambda rng: rng.randrange(1, 101)),
    Value("account of a company", "account_id", form(r"ACC-\d{6}")),
    Value("account by name", "account", one_of("acme-corp", "globex", "initech-emea", "umbrella-us")),
    Value("company", "company", one_of("Example GmbH", "Initech Ltd", "Globex Corporation")),
)
"""Those of companies may be taken for organisations, URLs for URLs: kinds that are kept."""
