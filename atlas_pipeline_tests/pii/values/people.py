"""Columns of data about people that no register issued: contact, health, money, devices, places, secrets.

Belongs here: values under headers that tell what they are, in ten languages. Does not belong here: numbers with check
digits (`registers.py`).
"""

import base64
import json
import random
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import cache

import phonenumbers
from faker import Faker

from atlas_pipeline_tests.pii.values.made import Value, matching
from atlas_pipeline_tests.pii.values.nobody import checked, form, one_of

Make = Callable[[random.Random], object]


@cache
def _fake(locale: str) -> Faker:
    return Faker(locale)


def faked(locale: str, method: str) -> Make:
    """Make values with a method of Faker."""

    def make(rng: random.Random) -> object:
        fake = _fake(locale)
        fake.seed_instance(rng.getrandbits(64))
        return getattr(fake, method)()

    return make


def phone(region: str, layout: int) -> Make:
    """Make phone numbers of a country: variants of its example of a mobile number, in a layout of phonenumbers."""

    def make(rng: random.Random) -> str:
        example = phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.MOBILE)
        while True:
            national = str(example.national_number)
            digits = national[:3] + "".join(rng.choice("0123456789") for _ in national[3:])
            number = phonenumbers.parse(digits, region)
            if phonenumbers.is_valid_number(number):
                return phonenumbers.format_number(number, layout)

    return make


def born(layout: str) -> Make:
    """Make days of birth."""
    return lambda rng: (date(1945, 1, 1) + timedelta(days=rng.randrange(20_000))).strftime(layout)


def _epoch(scale: int) -> Make:
    return lambda rng: (rng.randrange(-700_000_000, 1_000_000_000) // 86_400) * 86_400 * scale


def _recent(rng: random.Random) -> str:
    return (datetime(2024, 1, 1, tzinfo=UTC) + timedelta(seconds=rng.randrange(10**7))).isoformat()


def _at(rng: random.Random) -> tuple[float, float]:
    return round(rng.uniform(-60, 60), 5), round(rng.uniform(-170, 170), 5)


def _dms(rng: random.Random) -> str:
    parts = (rng.randrange(60), rng.randrange(60), rng.randrange(60), rng.randrange(170))
    return f"{parts[0]}°{parts[1]}'{parts[2]}\"N {parts[3]}°{parts[1]}'{parts[2]}\"W"


def _hexadecimal(size: int) -> Make:
    return lambda rng: rng.randbytes(size).hex()


def _mac(join: Callable[[list[str]], str]) -> Make:
    return lambda rng: join([f"{rng.randrange(0, 256, 4):02x}", *(f"{rng.randrange(256):02x}" for _ in range(5))])


def _with_name(template: str) -> Make:
    def make(rng: random.Random) -> str:
        name = str(faked("en_US", "name")(rng)).split()
        return template.format(first=name[0], last=name[-1], n=rng.randrange(10**9, 10**10))

    return make


_CARD_PREFIXES = {
    "Visa": r"4\d{14}",
    "Mastercard": r"5[1-5]\d{13}",
    "Mastercard, 2-series": r"2[3-6]\d{13}",
    "American Express": r"3[47]\d{12}",
    "Diners Club": r"36\d{11}",
    "Discover": r"6011\d{11}",
    "JCB": r"35[3-8]\d{12}",
    "UnionPay": r"62\d{13}",
    "Maestro, 12 digits": r"(?:5018|5020|5038|6304|6759|6761|6763)\d{7}",
    "Maestro, 16 digits": r"(?:5018|5020|5038|6304|6759|6761|6763)\d{11}",
    "Maestro, 19 digits": r"(?:5018|5020|5038|6304|6759|6761|6763)\d{14}",
}


def _luhn_digit(start: str) -> str:
    from stdnum import luhn

    return str(luhn.calc_check_digit(start))


def _iban(country: str, account: str) -> Make:
    def make(rng: random.Random) -> str:
        rest = matching(rng, account)
        digits = "".join(str(int(letter, 36)) for letter in rest + country + "00")
        return f"{country}{98 - int(digits) % 97:02}{rest}"

    return make


_N, _I, _R = (
    phonenumbers.PhoneNumberFormat.NATIONAL,
    phonenumbers.PhoneNumberFormat.INTERNATIONAL,
    phonenumbers.PhoneNumberFormat.RFC3966,
)
_E = phonenumbers.PhoneNumberFormat.E164

CONTACT = (
    Value("name, English", "full_name", faked("en_US", "name"), True),
    Value("name, German", "Name des Kunden", faked("de_DE", "name"), True),
    Value("name, French", "nom_complet", faked("fr_FR", "name"), True),
    Value("name, Spanish", "nombre_completo", faked("es_ES", "name"), True),
    Value("name, Polish", "imie_i_nazwisko", faked("pl_PL", "name"), True),
    Value("name, Japanese", "氏名", faked("ja_JP", "name"), True),
    Value("name, Chinese", "客户姓名", faked("zh_CN", "name"), True),
    Value("name, Korean", "고객이름", faked("ko_KR", "name"), True),
    Value("given name", "first_name", faked("en_US", "first_name")),
    Value("family name", "last_name", faked("en_US", "last_name")),
    Value("family name, Dutch", "achternaam", faked("nl_NL", "last_name")),
    Value("e-mail", "email", faked("en_US", "email"), True),
    Value("e-mail with a name", "from", _with_name("{first} {last} <{first}.{last}@example.org>"), True),
    Value("e-mail with entities", "contact_mail", _with_name("{first}.{last}&#64;example.org"), True),
    Value("e-mail, Chinese header", "电子邮箱", faked("en_US", "email"), True),
    Value("phone, E.164", "phone", phone("DE", _E), True),
    Value("phone, international", "mobile", phone("FR", _I), True),
    Value("phone, RFC 3966", "tel_uri", phone("ES", _R), True),
    Value("phone, US", "phone_number", phone("US", _N), True),
    Value("phone, French", "téléphone", phone("FR", _N), True),
    Value("phone, German", "Handynummer", phone("DE", _N), True),
    Value("phone, British", "mobile_no", phone("GB", _N), True),
    Value("phone, Brazilian", "celular", phone("BR", _N), True),
    Value("phone, Japanese", "電話番号", phone("JP", _N), True),
    Value("phone, Korean", "휴대폰", phone("KR", _N), True),
    Value("phone, Chinese", "手机号", phone("CN", _N), True),
    Value("phone, Indian", "mobile_number", phone("IN", _N), True),
    Value("phone, Polish", "telefon", phone("PL", _N), True),
    Value("phone, Dutch", "telefoonnummer", phone("NL", _N), True),
    Value("phone, Italian", "cellulare", phone("IT", _N), True),
    Value("phone, Spanish", "teléfono", phone("ES", _N), True),
    Value("phone, Turkish", "tel", phone("TR", _N), True),
    Value("phone with 00", "rufnummer", lambda rng: f"00{str(phone('AT', _E)(rng))[1:]}", True),
    Value("phone, digits", "cell_phone", form(r"[2-9]\d{2}[2-9]\d{6}")),
    Value("address, US", "street_address", faked("en_US", "street_address"), True),
    Value("address, German", "Anschrift", faked("de_DE", "street_address"), True),
    Value("address, French", "adresse", faked("fr_FR", "street_address"), True),
    Value("address, Japanese", "住所", faked("ja_JP", "address"), True),
    Value("address, Chinese", "地址", faked("zh_CN", "address"), True),
    Value("address, Korean", "주소", faked("ko_KR", "address"), True),
    Value("city", "city", faked("en_US", "city")),
    Value("postcode, UK", "postcode", faked("en_GB", "postcode"), True),
    Value("postcode, German", "PLZ", faked("de_DE", "postcode")),
    Value("postcode, Japanese", "郵便番号", faked("ja_JP", "postcode")),
)
DETAILS = (
    Value("birth date", "date_of_birth", born("%Y-%m-%d")),
    Value("birth date, day first", "Geburtsdatum", born("%d.%m.%Y")),
    Value("birth date, epoch", "dob", _epoch(1)),
    Value("birth date, epoch in milliseconds", "birth_date", _epoch(1_000)),
    Value("birth date, Japanese header", "生年月日", born("%Y/%m/%d")),
    Value("birth date, Korean header", "생년월일", born("%Y-%m-%d")),
    Value("birth date, Chinese header", "出生日期", born("%Y-%m-%d")),
    Value("birth date, Polish header", "data_urodzenia", born("%d.%m.%Y")),
    Value("age", "age", lambda rng: rng.randrange(18, 90)),
    Value("gender", "gender", one_of("male", "female", "non-binary"), True),
    Value("gender, Chinese", "性别", one_of("男", "女"), True),
    Value("marital status", "marital_status", one_of("single", "married", "divorced", "widowed"), True),
    Value("nationality", "nationality", one_of("German", "French", "Brazilian")),
    Value("religion", "religion", one_of("catholic", "muslim", "none", "jewish")),
    Value("religion, German", "Konfession", one_of("rk", "ev", "ohne")),
    Value("ethnicity", "ethnicity", one_of("asian", "white", "black")),
    Value("party", "political_party", one_of("green", "labour", "liberal")),
    Value("sexual orientation", "sexual_orientation", one_of("heterosexual", "gay", "bisexual")),
    Value("sexual orientation, Spanish", "orientación_sexual", one_of("heterosexual", "gay", "bisexual")),
    Value("union", "union_member", one_of("yes", "no")),
    Value("union, German", "Gewerkschaft", one_of("IG Metall", "ver.di", "keine")),
    Value("union, French", "syndicat", one_of("CGT", "CFDT", "aucun")),
    Value("diagnosis", "diagnosis", one_of("type 2 diabetes", "asthma", "depression", "hypertension")),
    Value("diagnosis, French", "diagnostic", one_of("diabète", "asthme", "dépression")),
    Value("diagnosis, Chinese", "诊断", one_of("糖尿病", "高血压", "抑郁症")),
    Value("diagnosis, Japanese", "病名", one_of("糖尿病", "高血圧")),
    Value("ICD code", "icd10", form(r"[A-TV-Z]\d\d\.\d")),
    Value("ICD code, German", "ICD-Code", form(r"[A-TV-Z]\d\d\.\d")),
    Value("disability", "disability", one_of("none", "hearing", "mobility")),
    Value("disability, German", "Grad der Behinderung", one_of(0, 30, 50, 80)),
    Value("disability, Italian", "disabilità", one_of("sì", "no")),
    Value("blood group", "blood_type", one_of("A+", "0-", "AB+", "B-")),
    Value("blood group, Polish", "grupa_krwi", one_of("A Rh+", "0 Rh-")),
    Value("blood group, Japanese", "血液型", one_of("A型", "O型")),
    Value("medication", "medication", one_of("metformin", "sertraline", "ramipril")),
    Value("medication, Dutch", "medicatie", one_of("metformine", "sertraline")),
    Value("allergies", "allergies", one_of("penicillin", "nuts", "none")),
    Value("HIV status", "hiv_status", one_of("positive", "negative")),
    Value("health insurance number", "health_insurance_no", form(r"[A-Z]{3}\d{9}")),
    Value("medical record", "mrn", form(r"\d{7}")),
    Value("fingerprint", "fingerprint_template", _hexadecimal(32)),
    Value("face", "face_embedding", lambda rng: [round(rng.uniform(-1, 1), 3) for _ in range(6)]),
    Value("criminal record", "criminal_record", one_of("none", "theft", "fraud")),
    Value("criminal record, Portuguese", "antecedentes_criminais", one_of("não", "sim")),
    Value("salary", "salary", lambda rng: rng.randrange(30_000, 150_000)),
    Value("salary, German", "Bruttogehalt", lambda rng: rng.randrange(30_000, 150_000)),
    Value("salary, Spanish", "sueldo", lambda rng: rng.randrange(900, 9_000)),
    Value("salary, Korean", "급여", lambda rng: rng.randrange(30_000, 150_000)),
    Value("account balance", "account_balance", lambda rng: round(rng.uniform(-500, 90_000), 2)),
    Value("account balance, Dutch", "saldo", lambda rng: round(rng.uniform(-500, 90_000), 2)),
    Value("credit score", "credit_score", lambda rng: rng.randrange(300, 850)),
    Value("last login", "last_login_at", _recent),
    Value("last seen", "last_seen", _recent),
    Value("login place", "login_location", one_of("Berlin, DE", "Paris, FR")),
    Value("last four of SSN", "ssn_last4", form(r"\d{4}")),
    Value("SSN", "ssn", form(r"[1-5]\d\d-[1-9]\d-[1-9]\d{3}"), True),
    Value("passport", "passport_number", form(r"[A-Z]\d{8}")),
    Value("passport, Japanese header", "パスポート番号", form(r"[A-Z]{2}\d{7}")),
    Value("driver's license", "driver_license", form(r"[A-Z]\d{7}")),
    Value("license plate", "license_plate", form(r"[A-Z]{3}-\d{4}")),
    Value("user name", "username", _with_name("{first}_{last}")),
    Value("home folder", "home_dir", _with_name("/home/{first}.{last}/reports"), True),
)
MONEY = (
    *(Value(f"card, {name}", "card_number", checked(head, _luhn_digit), True) for name, head in _CARD_PREFIXES.items()),
    Value("IBAN, German", "iban", _iban("DE", r"\d{18}"), True),
    Value("IBAN, British", "account_iban", _iban("GB", r"WEST\d{14}"), True),
    Value("IBAN, French", "compte", _iban("FR", r"\d{23}"), True),
    Value("account number", "bank_account_number", form(r"\d{8}")),
    Value("bank code", "sort_code", form(r"\d\d-\d\d-\d\d")),
    Value("CVV", "cvv", form(r"\d{3}")),
    Value("bitcoin", "btc_wallet", form(r"bc1q[ac-hj-np-z02-9]{38}"), True),
    Value("ethereum", "wallet", lambda rng: f"0x{rng.randbytes(20).hex()}", True),
)
DEVICES = (
    Value("IPv4", "ip_address", faked("en_US", "ipv4"), True),
    Value("IPv6", "client_ip", faked("en_US", "ipv6"), True),
    Value("MAC, colons", "mac_address", _mac(":".join), True),
    Value("MAC, hyphens", "hw_address", _mac("-".join), True),
    Value("MAC, points", "mac", _mac(lambda p: f"{p[0]}{p[1]}.{p[2]}{p[3]}.{p[4]}{p[5]}"), True),
    Value("MAC, bare", "wifi_mac", _mac("".join), True),
    Value("advertising id", "idfa", lambda rng: str(_uuid(rng)).upper()),
    Value("IMSI", "imsi", form(r"2620\d{11}")),
    Value("coordinates", "coordinates", lambda rng: "{}, {}".format(*_at(rng)), True),
    Value("latitude", "latitude", lambda rng: _at(rng)[0]),
    Value("coordinates, degrees", "gps_position", _dms, True),
    Value("coordinates, WKT", "geom", lambda rng: "POINT({} {})".format(*reversed(_at(rng))), True),
    Value("coordinates, EWKT", "home_geom", lambda rng: "SRID=4326;POINT({} {})".format(*reversed(_at(rng))), True),
    Value(
        "coordinates, JSON",
        "position",
        lambda rng: json.dumps({"pos": dict(zip(("lat", "lng"), _at(rng), strict=True)), "src": "gps"}),
        True,
    ),
    Value(
        "coordinates, GeoJSON",
        "geojson",
        lambda rng: json.dumps({"type": "Point", "coordinates": list(reversed(_at(rng)))}),
        True,
    ),
    Value("geo URI", "geo_uri", lambda rng: "geo:{},{}".format(*_at(rng)), True),
    Value("plus code", "plus_code", form(r"[23456789CFGHJMPQRVWX]{8}\+[23456789CFGHJMPQRVWX]{2}"), True),
    Value("what3words", "what3words", form(r"///[a-z]{5}\.[a-z]{5}\.[a-z]{6}"), True),
    Value("JSON with a person", "payload", _with_name('{{"first_name": "{first}", "n": {n}}}'), True),
    Value("URL with a name", "callback", _with_name("https://x.example/cb?first_name={first}&last_name={last}"), True),
    Value("URL with a phone", "redirect", _with_name("https://x.example/cb?phone=%2B1{n}&uid=7"), True),
)
SECRETS = (
    Value("password", "password", form(r"[a-z]{4}[0-9A-Z]{4}[!?]")),
    Value("password hash", "password_hash", lambda rng: "$2b$12$" + matching(rng, r"[A-Za-z0-9]{53}"), True),
    Value("AWS key", "aws_access_key_id", form(r"AKIA[0-9A-Z]{16}"), True),
    Value("GitHub token", "gh_token", form(r"ghp_[A-Za-z0-9]{36}"), True),
    Value("npm token", "npm_token", form(r"npm_[A-Za-z0-9]{36}"), True),
    Value("Hugging Face token", "hf_token", form(r"hf_[A-Za-z]{34}"), True),
    Value("Stripe key", "stripe_key", form(r"sk_live_[A-Za-z0-9]{24}"), True),
    Value("JWT", "jwt", lambda rng: f"eyJhbGciOiJIUzI1NiJ9.{_base64(rng, 40)}.{_base64(rng, 32)}", True),
    Value("connection string", "dsn", form(r"postgres://app:[a-z0-9]{10}@db:5432/prod"), True),
    Value("session id", "session_token", lambda rng: _base64(rng, 24)),
    Value("one-time code", "otp", form(r"\d{6}")),
)


def _base64(rng: random.Random, size: int) -> str:
    return base64.urlsafe_b64encode(rng.randbytes(size)).decode().rstrip("=")


def _uuid(rng: random.Random) -> object:
    import uuid

    return uuid.UUID(int=rng.getrandbits(128), version=4)


VALUES = (*CONTACT, *DETAILS, *MONEY, *DEVICES, *SECRETS)
