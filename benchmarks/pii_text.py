"""Personal data in prose: Atlas's scanner against Presidio's AnalyzerEngine, same model, same texts, same run.

Texts are generated from our own templates with invented values of several countries, and from the support tickets of
`atlas sample`. Measured by characters: the share of personal characters found (recall), of found ones that are personal
(precision), F2 (the F-measure with beta = 2, van Rijsbergen 1979), and texts per second of CPU time in one thread.

    python benchmarks/pii_text.py --texts 600
    python benchmarks/pii_text.py --templates FILE --people FILE   # a template a line, {{kind}}; a table of people
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import re
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

for _threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS"):
    os.environ.setdefault(_threads, "1")

import harness  # noqa: E402 — the threads are set before anything is imported that starts them

F2, TEXTS_A_SECOND = 0.87, 1_000
Gold = tuple[int, int, str]
_NOT_PERSONAL = {"ORGANIZATION", "JOB", "PREFIX", "DAY_OF_WEEK", "YEAR"}
_ADDRESS_LOCALES = tuple(
    re.findall(
        r"\w+",
        """cs_CZ da_DK de_AT de_CH el_GR en_AU en_CA en_GB en_IE en_IN en_NZ en_US es_CO es_ES es_MX fi_FI fr_BE fr_CH
        fr_FR hr_HR hu_HU it_IT nl_BE nl_NL no_NO pl_PL pt_BR pt_PT ro_RO sk_SK sl_SI sv_SE tr_TR""",
    )
)
_ADDRESS_TEMPLATES = (
    "Please ship it to {address}.",
    "{person} lives at {address} now.",
    "i moved last month, new address: {address}, please update",
    "Address: {address}\nPhone: see above",
    "The meeting is at {address} tomorrow.",
    "{address}",
    "Billing address:\n{person}\n{address}\nthanks",
)
_LOCALES = (
    "en_US",
    "en_US",
    "en_US",
    "en_GB",
    "en_AU",
    "en_CA",
    "de_DE",
    "fr_FR",
    "es_ES",
    "it_IT",
    "nl_NL",
    "pl_PL",
    "sv_SE",
    "en_IN",
)
_KIND = {
    "address": "STREET_ADDRESS", "street_name": "STREET_ADDRESS", "building_number": "STREET_ADDRESS",
    "secondary_address": "STREET_ADDRESS", "city": "LOCATION", "country": "LOCATION", "state_abbr": "LOCATION",
    "postcode": "ZIPCODE", "zipcode": "ZIPCODE", "date": "DATE_TIME", "date_time": "DATE_TIME", "ssn": "US_SSN",
    "date_of_birth": "DATE_OF_BIRTH", "email": "EMAIL_ADDRESS", "phone_number": "PHONE_NUMBER", "phone": "PHONE_NUMBER",
    "nationality": "NRP", "nation_woman": "NRP", "nation_plural": "NRP", "url": "URL",
    "credit_card_number": "CREDIT_CARD",
    "iban": "IBAN_CODE", "ip_address": "IP_ADDRESS", "mac": "MAC_ADDRESS", "password": "SECRET", "username": "USERNAME",
    "organization": "ORGANIZATION", "job": "JOB", "age": "AGE", "mrn": "HEALTH_ID", "passport": "PASSPORT",
    "us_driver_license": "DRIVER_LICENSE", "driver_license": "DRIVER_LICENSE", "year": "YEAR",
    "day_of_week": "DAY_OF_WEEK",
    "prefix": "PREFIX", "prefix_male": "PREFIX", "prefix_female": "PREFIX",
}  # fmt: skip


@dataclass(frozen=True)
class Sample:
    """One text with its labelled spans."""

    text: str
    gold: tuple[Gold, ...]


@dataclass
class Score:
    """Counts of characters, and by kind the personal characters that were found."""

    hit: int = 0
    missed: int = 0
    false: int = 0
    by_kind: dict[str, list[int]] | None = None

    def of(self, beta: float = 2.0) -> tuple[float, float, float]:
        """F, precision, recall."""
        precision = self.hit / max(1, self.hit + self.false)
        recall = self.hit / max(1, self.hit + self.missed)
        weight = beta * beta
        return (1 + weight) * precision * recall / max(1e-9, weight * precision + recall), precision, recall


class Filler:
    """Invented values for the kinds of the templates, from one seed."""

    def __init__(self, seed: int, people: Path | None) -> None:
        from faker import Faker

        self._random = random.Random(seed)
        self._fakers = {locale: Faker(locale) for locale in sorted(set(_LOCALES))}
        for faker in self._fakers.values():
            faker.seed_instance(seed)
        self._people = list(csv.DictReader(people.open(encoding="utf-8-sig"))) if people else []

    def fill(self, template: str) -> Sample:
        """Fill a template with values of one country; returns the text with its labelled spans."""
        locale = self._random.choice(_LOCALES)
        person = self._random.choice(self._people) if self._people else None
        pieces: list[str] = []
        gold: list[Gold] = []
        at = length = 0
        for match in re.finditer(r"\{\{([a-z_]+)\}\}", template):
            before, value = template[at : match.start()], self._value(match[1], locale, person)
            kind = _KIND.get(match[1]) or _KIND.get(_base(match[1]), "PERSON")
            start = length + len(before)
            pieces += before, value
            length = start + len(value)
            at = match.end()
            gold.append((start, length, kind))
        return Sample("".join(pieces) + template[at:], tuple(gold))

    def _value(self, name: str, locale: str, person: dict[str, str] | None) -> str:
        suffix = name.rsplit("_", 1)[-1]
        own = {"fr": "fr_FR", "de": "de_DE", "es": "es_ES", "it": "it_IT"}.get(suffix)
        if own:
            return self._made(name.rsplit("_", 1)[0], self._fakers[own])
        if suffix in ("lower", "upper"):
            value = self._value(name.rsplit("_", 1)[0], locale, person)
            return value.lower() if suffix == "lower" else value.upper()
        if person and (value := self._of_person(name, self._random.choice(self._people))):
            return value
        return self._made(name, self._fakers[locale])

    def _of_person(self, name: str, row: dict[str, str]) -> str | None:
        return {
            "person": f"{row['GivenName']} {row['Surname']}", "name": f"{row['GivenName']} {row['Surname']}",
            "first_name": row["GivenName"], "last_name": row["Surname"], "city": row["City"],
            "country": row["CountryFull"], "phone_number": row["TelephoneNumber"], "email": row["EmailAddress"],
            "postcode": row["ZipCode"], "organization": row["Company"], "age": row["Age"],
            "date_of_birth": row["Birthday"],
            "address": f"{row['StreetAddress']}\n{row['City']}, {row['ZipCode']}, {row['CountryFull']}",
        }.get(name)  # fmt: skip

    def _made(self, name: str, faker: object) -> str:
        choose = self._random
        make = lambda attribute, *args, **named: str(getattr(faker, attribute)(*args, **named))  # noqa: E731
        english = self._fakers["en_US"]
        day = english.date_between("-90y", "today")
        written = choose.choice(("%Y-%m-%d", "%d/%m/%Y", "%m/%d/%Y", "%B %d, %Y", "%d %B %Y", "%d.%m.%Y", "%b %d, %Y"))
        given: dict[str, Callable[[], str]] = {
            "person": lambda: make("first_name") + " " + make("last_name"),
            "first_name": lambda: make("first_name"),
            "last_name": lambda: make("last_name"),
            "address": lambda: make("address").replace("\n", choose.choice((", ", "\n"))),
            "street_name": lambda: make("street_name"),
            "building_number": lambda: make("building_number"),
            "secondary_address": lambda: choose.choice(("Apt. ", "Suite ")) + str(choose.randint(1, 999)),
            "city": lambda: make("city"),
            "country": lambda: english.country(),
            "state_abbr": lambda: english.state_abbr(),
            "postcode": lambda: make("postcode"),
            "zipcode": lambda: english.zipcode(),
            "phone_number": lambda: make("phone_number"),
            "phone": lambda: make("phone_number"),
            "email": lambda: make("email"),
            "email_encoded": lambda: make("email").replace("@", "%40"),
            "date": lambda: day.strftime(written),
            "date_time": lambda: day.strftime(written),
            "date_of_birth": lambda: day.strftime(written),
            "date_of_birth_iso": day.isoformat,
            "date_of_birth_dotted": lambda: day.strftime("%d.%m.%Y"),
            "ssn": english.ssn,
            "nationality": lambda: choose.choice(("Swedish", "French", "Kenyan", "Brazilian", "Polish", "Japanese")),
            "nation_woman": lambda: choose.choice(("German", "Greek", "Indian")),
            "nation_plural": lambda: choose.choice(("Danes", "Italians", "Canadians")),
            "url": english.url,
            "credit_card_number": english.credit_card_number,
            "iban": lambda: make("iban") if hasattr(faker, "iban") else english.iban(),
            "ip_address": english.ipv4_public,
            "mac": english.mac_address,
            "password": lambda: english.password(10),
            "username": english.user_name,
            "organization": lambda: make("company"),
            "job": english.job,
            "age": lambda: str(choose.randint(18, 95)),
            "mrn": lambda: str(choose.randint(10**6, 10**8)),
            "passport": lambda: english.bothify("?########").upper(),
            "us_driver_license": lambda: english.bothify("?#######").upper(),
            "driver_license": lambda: english.bothify("?###-####-####").upper(),
            "year": lambda: str(choose.randint(1950, 2024)),
            "day_of_week": english.day_of_week,
            "prefix": lambda: choose.choice(("Mr.", "Ms.", "Mrs.", "Dr.")),
            "prefix_male": lambda: "Mr.",
            "prefix_female": lambda: "Ms.",
        }
        usual = "last_name" if "last" in name else "first_name" if "first" in name else "person"
        return given.get(name, given[usual])()


def _base(name: str) -> str:
    return name.rsplit("_", 1)[0]


def from_templates(templates: Sequence[str], texts: int, seed: int, people: Path | None = None) -> list[Sample]:
    """Fill the templates in turn until there are as many texts as asked for."""
    filler = Filler(seed, people)
    return [filler.fill(templates[at % len(templates)]) for at in range(texts)]


def addresses(texts: int, seed: int) -> list[Sample]:
    """Texts with addresses of 33 countries as Faker writes them, on one line or several, whole or the street alone."""
    from faker import Faker

    choose = random.Random(seed)
    fakers = {locale: Faker(locale) for locale in _ADDRESS_LOCALES}
    for faker in fakers.values():
        faker.seed_instance(seed)
    return [_with_address(choose, fakers[choose.choice(_ADDRESS_LOCALES)]) for _ in range(texts)]


def _with_address(choose: random.Random, faker: Any) -> Sample:
    whole, street, town = faker.address(), faker.street_address(), faker.city()
    address = choose.choice(
        (whole, whole.replace("\n", ", "), f"{street}\n{town}\n{faker.postcode()}", street, f"{street}, {town}")
    )
    person = f"{faker.first_name()} {faker.last_name()}"
    text, gold = "", []
    for piece in re.split(r"(\{\w+\})", choose.choice(_ADDRESS_TEMPLATES)):
        value, kind = {"{address}": (address, "STREET_ADDRESS"), "{person}": (person, "PERSON")}.get(piece, (piece, ""))
        if kind:
            gold.append((len(text), len(text) + len(value), kind))
        text += value
    return Sample(text, tuple(gold))


def tickets(rows: int, seed: int) -> list[Sample]:
    """The subjects and bodies of the sample's support tickets, with their labelled spans."""
    import pyarrow.parquet as pq

    from atlas_pipeline.sample import generate

    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder) / "sample", rows=rows, seed=seed)
        return read_tickets(Path(folder) / "sample", pq)


def read_tickets(folder: Path, pq: object) -> list[Sample]:
    """The tickets of a sample that is already written."""
    spans: dict[tuple[int, str], list[Gold]] = {}
    for line in (folder / "labels" / "spans.jsonl").read_text().splitlines():
        one = json.loads(line)
        spans.setdefault((one["ticket_id"], one["column"]), []).append((one["start"], one["end"], one["kind"]))
    samples = []
    for file in sorted((folder / "support_tickets").glob("*.parquet")):
        for row in pq.read_table(file).to_pylist():  # type: ignore[attr-defined]
            for column in ("subject", "body"):
                if row[column]:
                    samples.append(Sample(row[column], tuple(spans.get((row["ticket_id"], column), ()))))
    return samples


Spans = list[list[tuple[int, int, str]]]


def atlas(texts: Sequence[str]) -> Spans:
    """Atlas's scanner."""
    from atlas_pipeline.pii.text.scanner import scanner

    return [[(span.start, span.end, span.entity) for span in spans] for spans in scanner().spans(texts)]


def vanilla(texts: Sequence[str]) -> Spans:
    """Presidio with its defaults and the same spaCy model."""
    analyzer = engine()
    return [[(one.start, one.end, one.entity_type) for one in analyzer.analyze(text, "en")] for text in texts]


_ENGINES: list[Any] = []


def engine() -> Any:
    """`AnalyzerEngine` with its default recognisers and the small model, without its attempt to download one."""
    if not _ENGINES:
        import tldextract
        from presidio_analyzer import AnalyzerEngine
        from presidio_analyzer.nlp_engine import NlpEngineProvider

        from atlas_pipeline.pii.rules import DEFAULT_MODEL

        tldextract.extract = tldextract.tldextract.TLD_EXTRACTOR = tldextract.TLDExtract(suffix_list_urls=())
        names = {"nlp_engine_name": "spacy", "models": [{"lang_code": "en", "model_name": DEFAULT_MODEL}]}
        _ENGINES.append(AnalyzerEngine(nlp_engine=NlpEngineProvider(nlp_configuration=names).create_engine()))
    return _ENGINES[0]


def scored(samples: Sequence[Sample], found: Spans) -> Score:
    """Compare findings with labels, by characters that are not blanks. Titles, jobs and organisations count neither as
    found nor as missed."""
    score = Score(by_kind={})
    for sample, spans in zip(samples, found, strict=True):
        neutral = _characters(sample.text, [label for label in sample.gold if label[2] in _NOT_PERSONAL])
        gold = _characters(sample.text, sample.gold) - neutral
        hit = _characters(sample.text, [span for span in spans if span[2] not in _NOT_PERSONAL]) - neutral
        score.hit += len(gold & hit)
        score.missed += len(gold - hit)
        score.false += len(hit - gold)
        for start, end, kind in sample.gold:
            if kind in _NOT_PERSONAL:
                continue
            counts = score.by_kind.setdefault(kind, [0, 0])  # type: ignore[union-attr]
            own = _characters(sample.text, [(start, end, kind)]) - neutral
            counts[0] += len(own & hit)
            counts[1] += len(own)
    return score


def _characters(text: str, spans: Sequence[tuple[int, int, str]]) -> set[int]:
    return {at for start, end, _ in spans for at in range(start, end) if not text[at].isspace()}


def measured(samples: Sequence[Sample], finder: Callable[[Sequence[str]], Spans]) -> tuple[Score, float, Spans]:
    """The score, and texts per second of CPU time without the time to load models."""
    texts = [sample.text for sample in samples]
    finder(["Anna Kowalska, 12 High Street, +44 20 7946 0018, told Zorblatt that Quuxville is near."])
    started = time.process_time()
    found = finder(texts)
    return scored(samples, found), len(texts) / (time.process_time() - started), found


def report(name: str, samples: Sequence[Sample], against: bool, errors: int) -> None:
    """Add one table to the report: both finders on one set of texts."""
    rates = {}
    print(
        f"\n{name}: {len(samples):,} texts, {sum(len(one.text) for one in samples) / len(samples):.0f} characters each"
    )
    for label, finder in (("atlas", atlas), ("presidio", vanilla))[: 1 + against]:
        score, rates[label], found = measured(samples, finder)
        f2, precision, recall = score.of()
        print(f"  {label:9} F2 {f2:.3f}  precision {precision:.3f}  recall {recall:.3f}  {rates[label]:7.0f} texts/s")
        kinds = sorted((score.by_kind or {}).items(), key=lambda one: -one[1][1])
        print("    " + "  ".join(f"{kind} {hit / total:.2f}" for kind, (hit, total) in kinds if total))
        if label == "atlas" and errors:
            _show(samples, found, errors)
    if against:
        print(f"  speed: {rates['atlas'] / rates['presidio']:.1f} times Presidio's")


def _show(samples: Sequence[Sample], found: Spans, errors: int) -> None:
    missed: Counter[str] = Counter()
    false: Counter[str] = Counter()
    for sample, spans in zip(samples, found, strict=True):
        hit = _characters(sample.text, spans)
        gold = _characters(sample.text, sample.gold)
        for start, end, kind in sample.gold:
            if _characters(sample.text, [(start, end, kind)]) - hit:
                missed[f"{kind} {sample.text[start:end]!r} in {sample.text[max(0, start - 25) : end + 15]!r}"] += (
                    end - start
                )
        for start, end, kind in spans:
            if kind not in _NOT_PERSONAL and not _characters(sample.text, [(start, end, kind)]) & gold:
                false[f"{kind} {sample.text[start:end]!r} in {sample.text[max(0, start - 15) : end + 15]!r}"] += (
                    end - start
                )
    for title, counts in (("missed", missed), ("false", false)):
        for text, size in counts.most_common(errors):
            print(f"    {title:6} {size:4} {text}")


def measure(result: harness.Report, texts: int) -> None:
    """Add both finders' scores on templates that were not tuned on, and on tickets, to a report."""
    from pii_text_templates import TEMPLATES

    rows: list[list[Any]] = []
    for name, samples in {
        "templates held out": from_templates(TEMPLATES[1::2], texts, 7),
        "tickets of the sample": tickets(1000, 11)[:texts],
        "addresses of 33 countries": addresses(texts, 11),
    }.items():
        harness.say(f"pii: free text, {name}, {len(samples):,} texts")
        for label, finder in (("atlas", atlas), ("AnalyzerEngine", vanilla)):
            score, rate, _ = measured(samples, finder)
            f2, precision, recall = score.of()
            rows.append([f"{name}: {label}", f"{f2:.3f}", f"{precision:.3f}", f"{recall:.3f}", rate])
            if label == "atlas":
                result.goals.append(harness.Goal(f"F2 of characters, {name}", f2, F2, at_least=True))
                result.goals.append(harness.Goal(f"texts a CPU second, {name}", rate, TEXTS_A_SECOND, at_least=True))
    result.table("Free text, one thread", ["texts", "F2", "precision", "recall", "texts/CPU s"], rows)


def main() -> None:
    """Read the command line, measure, print."""
    from pii_text_templates import TEMPLATES

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=600, help="texts of each set (default: 600)")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--templates", type=Path, help="a file of other templates, one a line")
    parser.add_argument("--people", type=Path, help="a CSV of made-up people (GivenName, Surname, StreetAddress, ...)")
    parser.add_argument(
        "--half", choices=("even", "odd", "both"), default="both", help="which templates (default: both)"
    )
    parser.add_argument("--no-rival", action="store_true", help="do not run Presidio")
    parser.add_argument(
        "--errors", type=int, default=0, help="print so many of the worst errors (the texts are made up)"
    )
    parser.add_argument("--only", choices=("templates", "tickets", "addresses", "file"))
    options = parser.parse_args()
    sets: list[tuple[str, Sequence[str]]] = []
    if options.only in (None, "templates"):
        sets.append(("own templates", TEMPLATES))
    if options.templates and options.only in (None, "file"):
        lines = options.templates.read_text(encoding="utf-8", errors="replace").splitlines()
        sets.append((options.templates.name, [line.replace("\\n", "\n") for line in lines if line.strip()]))
    for name, templates in sets:
        for half, chosen in (("even", templates[::2]), ("odd", templates[1::2])):
            if options.half in ("both", half):
                samples = from_templates(chosen, options.texts, options.seed, options.people)
                report(f"{name}, {half}", samples, not options.no_rival, options.errors)
    if options.only in (None, "tickets"):
        report("tickets", tickets(1000, options.seed)[: options.texts], not options.no_rival, options.errors)
    if options.only in (None, "addresses"):
        report("addresses", addresses(options.texts, options.seed), not options.no_rival, options.errors)
    print(f"\npeak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB, one thread")


if __name__ == "__main__":
    main()
