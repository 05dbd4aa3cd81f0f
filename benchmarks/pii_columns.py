"""Quality of `profile()`: precision, recall and F1 over columns, for two groups of kinds.

Belongs here: scoring, on annotated tables beside the project (skipped where absent) and on tables that Faker makes.
Does not belong here: the rules themselves. No value is printed.
"""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import harness
from faker import Faker

from atlas_pipeline.pii.profile import profile

F1 = 0.92
ANNOTATED = Path(__file__).resolve().parents[2] / "shared" / "data" / "gittables_annotated.json"


def words(text: str) -> tuple[str, ...]:
    """The words of a text."""
    return tuple(text.split())


KINDS = {
    "PERSON_NAME": "PERSON",
    "ORGANIZATION_NAME": "ORGANIZATION",
    "ETHNIC_GROUP": "NRP",
    "IMEI_HARDWARE_ID": "DEVICE_ID",
}
READINGS = {
    "as Presidio has them": (words("PERSON EMAIL_ADDRESS PHONE_NUMBER STREET_ADDRESS DATE_OF_BIRTH IP_ADDRESS URL")),
    "of customers": words("PERSON EMAIL_ADDRESS PHONE_NUMBER STREET_ADDRESS ZIPCODE DATE_OF_BIRTH GENDER"),
}
Table = Mapping[str, tuple[Sequence[object], str]]
"""Columns by name: their values, and their true kind, None for none."""


@dataclass(frozen=True)
class Verdict:
    """One column: its true kind, and the kind that the profile reports."""

    table: str
    column: str
    truth: str
    said: str


def annotated(part: str) -> dict[str, Table]:
    """The annotated tables; `even` and `odd` are halves for tuning and for holding out."""
    found = json.loads(ANNOTATED.read_text(encoding="utf-8"))
    tables = {}
    for at, (name, table) in enumerate(found.items()):
        if part == "all" or (at % 2 == 0) == (part == "even"):
            columns = table["columns"].items()
            tables[name] = {
                column: (said["records"], KINDS.get(said["pii_gt"], said["pii_gt"])) for column, said in columns
            }
    return tables


STYLES: dict[str, tuple[str, ...]] = {
    "en": words(
        "first_name last_name full_name email phone street_address date_of_birth ip_address url zip_code gender city "
        "company order_date"
    ),
    "camel": words(
        "firstName lastName customerName emailAddress mobilePhone homeAddress birthDate clientIp websiteUrl postalCode "
        "sex homeCity employer createdAt"
    ),
    "de": words(
        "Vorname Nachname Kundenname E-Mail Telefonnummer Anschrift Geburtsdatum IP-Adresse Webseite PLZ Geschlecht "
        "Ort Firma Bestelldatum"
    ),
    "fr": words(
        "prenom nom nom_complet courriel telephone adresse date_naissance adresse_ip site_web code_postal sexe ville "
        "societe date_commande"
    ),
    "es": words(
        "nombre apellidos nombre_completo correo telefono direccion fecha_nacimiento ip sitio_web codigo_postal genero "
        "ciudad empresa fecha_pedido"
    ),
    "it": words(
        "nome cognome nome_completo posta_elettronica cellulare indirizzo data_di_nascita indirizzo_ip sito_web cap "
        "sesso comune azienda data_ordine"
    ),
    "pt": words(
        "nome sobrenome nomeCompleto e-mail telemovel endereco data_nascimento ip url cep genero cidade empresa data"
    ),
    "nl": words(
        "voornaam achternaam naam e-mailadres telefoonnummer adres geboortedatum ip_adres website postcode geslacht "
        "woonplaats bedrijf besteldatum"
    ),
    "short": words("fname lname cust_nm emailid ph_no addr1 d_o_b src_ip homepage zip5 sex town org txn_dt"),
    "nested": words(
        "contact/first contact/last contact.name contact.email contact.phone1 contact.address.line1 contact.birthday "
        "request.remote_ip profile.link contact.address.zip contact.gender contact.address.city contact.org ts"
    ),
    "UPPER": words(
        "EMP_FIRST_NM EMP_LAST_NM EMP_NAME EMP_EMAIL_ADDR EMP_HOME_PHONE EMP_STREET_ADDR EMP_BIRTH_DT LOGIN_IP_ADDR "
        "PROFILE_URL EMP_POSTAL_CD EMP_GENDER_CD EMP_CITY_NM EMPLOYER_NM HIRE_DT"
    ),
    "opaque": tuple(f"col{at}" for at in range(14)),
}
_OPAQUE_KINDS = {"PERSON", "EMAIL_ADDRESS", "PHONE_NUMBER", "STREET_ADDRESS", "IP_ADDRESS", "URL", "GENDER"}
"""Kinds that values alone can prove; birthdays and postcodes without a header are left out of the score."""


def people(fake: Faker, headers: Sequence[str], rows: int, opaque: bool) -> Table:
    """A table about people, in the locale of `fake`."""
    day = fake.date_of_birth
    made: list[tuple[str, Callable[[], object]]] = [
        ("PERSON", fake.first_name),
        ("PERSON", fake.last_name),
        ("PERSON", fake.name),
        ("EMAIL_ADDRESS", fake.email),
        ("PHONE_NUMBER", fake.phone_number),
        ("STREET_ADDRESS", fake.street_address),
        ("DATE_OF_BIRTH", lambda: day(minimum_age=18, maximum_age=90).isoformat()),
        ("IP_ADDRESS", fake.ipv4),
        ("URL", fake.url),
        ("ZIPCODE", fake.postcode),
        ("GENDER", lambda: fake.random_element(("Male", "Female"))),
        ("None", fake.city),
        ("ORGANIZATION", fake.company),
        ("None", lambda: fake.date_this_decade().isoformat()),
    ]
    columns = zip(headers, made, strict=True)
    return {
        header: ([make() for _ in range(rows)], kind)
        for header, (kind, make) in columns
        if not opaque or kind in _OPAQUE_KINDS | {"None", "ORGANIZATION"}
    }


def things(fake: Faker, rows: int) -> Table:
    """A table without personal data, under headers that suggest some."""
    pick, number = fake.random_element, fake.random_int
    made: dict[str, Callable[[], object]] = {
        "id": lambda: number(1000, 99999),
        "order_number": lambda: number(10**9, 10**10 - 1),
        "file_name": lambda: fake.file_name(),
        "product_name": lambda: f"{pick(('Steel', 'Oak', 'Soft', 'Smart'))} {pick(('Chair', 'Lamp', 'Desk', 'Mouse'))}",
        "hostname": fake.hostname,
        "event_name": lambda: pick(("page_view", "click", "purchase", "sign_up")),
        "driver": lambda: pick(("e1000e", "nvidia", "snd_hda_intel", "iwlwifi", "psycopg2")),
        "public_id": fake.uuid4,
        "email_sent": lambda: pick((True, False)),
        "phone_model": lambda: pick(("iPhone 12", "Galaxy S21", "Pixel 6")),
        "mobile": lambda: pick(("true", "false")),
        "card_type": lambda: pick(("visa", "amex", "mastercard")),
        "ip_count": lambda: number(0, 50),
        "year": lambda: number(1990, 2024),
        "epoch": lambda: number(10**9, 17 * 10**8),
        "price": lambda: number(100, 99999) / 100,
        "name": lambda: pick(("Blue Widget", "USB Cable", "Desk Lamp XL", "HDMI-2", "Garden Hose")),
        "status": lambda: pick(("open", "closed", "pending")),
        "version": lambda: f"{number(1, 9)}.{number(0, 20)}.{number(0, 9)}.{number(0, 9)}",
        "country": fake.country,
        "color": fake.color_name,
        "updated_at": lambda: fake.date_time().isoformat(),
        "notes": lambda: fake.sentence(12),
        "ean": fake.ean13,
        "currency": fake.currency_code,
        "job": fake.job,
    }
    return {header: ([make() for _ in range(rows)], "None") for header, make in made.items()}


LOCALES = words("en_US en_GB de_DE fr_FR es_ES it_IT pt_BR nl_NL pl_PL sv_SE en_IN tr_TR ru_RU ja_JP cs_CZ id_ID")


def faked(rows: int) -> dict[str, Table]:
    """Tables in several locales and styles of headers, and tables without people."""
    tables: dict[str, Table] = {}
    for at, locale in enumerate(LOCALES):
        fake = Faker(locale)
        fake.seed_instance(at)
        for style, headers in STYLES.items():
            tables[f"{locale}/{style}"] = people(fake, headers, rows, style == "opaque")
        tables[f"{locale}/things"] = things(fake, rows)
    return tables


def verdicts(tables: Mapping[str, Table]) -> Iterator[Verdict]:
    """Profile every column. One that is not `typed` has no kind."""
    for name, table in tables.items():
        found = profile({column: values for column, (values, _) in table.items()})
        for said in found:
            kind = said.entity if said.column_class == "typed" and said.entity else "None"
            yield Verdict(name, said.name, table[said.name][1], kind)


def score(found: Sequence[Verdict], kinds: Sequence[str]) -> tuple[float, float, float, int]:
    """Precision, recall, F1 and the number of columns of these kinds, micro over columns."""
    right = sum(verdict.said == verdict.truth for verdict in found if verdict.truth in kinds)
    said = sum(verdict.said in kinds for verdict in found)
    true = sum(verdict.truth in kinds for verdict in found)
    precision, recall = right / max(said, 1), right / max(true, 1)
    return precision, recall, 2 * precision * recall / max(precision + recall, 1e-9), true


def report(title: str, tables: Mapping[str, Table]) -> None:
    """Print the scores of some tables."""
    start = time.perf_counter()
    found = list(verdicts(tables))
    seconds = time.perf_counter() - start
    print(f"\n{title}: {len(tables)} tables, {len(found)} columns, {seconds:.1f} s")
    for reading, kinds in READINGS.items():
        print(f"  {'seven kinds ' + reading:<36}" + "P {:.3f}  R {:.3f}  F1 {:.3f}  of {}".format(*score(found, kinds)))
    for kind in sorted({kind for kinds in READINGS.values() for kind in kinds}):
        print(f"    {kind:<34}" + "P {:.3f}  R {:.3f}  F1 {:.3f}  of {}".format(*score(found, [kind])))
    scored = {kind for kinds in READINGS.values() for kind in kinds}
    wrong = [verdict for verdict in found if verdict.truth != verdict.said and {verdict.truth, verdict.said} & scored]
    for (truth, said), count in Counter((verdict.truth, verdict.said) for verdict in wrong).most_common():
        print(f"    {truth} taken for {said}: {count}")


def measure(report: harness.Report) -> None:
    """Add the scores of the annotated tables, if present, and of Faker's to a report."""
    sets = {"annotated": annotated("all")} if ANNOTATED.exists() else {}
    if not sets:
        report.notes.append("the annotated tables are not beside the project: column typing on them was skipped")
    sets["made by Faker"] = faked(30)
    rows = []
    for name, tables in sets.items():
        harness.say(f"pii: column typing, {name}, {len(tables)} tables")
        found = list(verdicts(tables))
        for reading, kinds in READINGS.items():
            precision, recall, f1, columns = score(found, kinds)
            rows.append([f"{name}: seven kinds {reading}", f"{precision:.3f}", f"{recall:.3f}", f"{f1:.3f}", columns])
            if name == "annotated":
                report.goals.append(harness.Goal(f"F1 of columns, seven kinds {reading}", f1, F1, at_least=True))
    report.table("Kinds of columns", ["tables", "precision", "recall", "F1", "columns of these kinds"], rows)


def main() -> int:
    """Print the scores of the annotated tables, if present, and of Faker's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=30, help="rows of Faker's tables (default: 30)")
    arguments = parser.parse_args()
    if ANNOTATED.exists():
        for part in ("all", "even", "odd"):
            report(f"annotated tables, {part}", annotated(part))
    else:
        print("The annotated tables are not beside the project (../shared/data/gittables_annotated.json): skipped.")
    report("tables made by Faker", faked(arguments.rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
