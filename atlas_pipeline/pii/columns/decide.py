"""`decide(column, table)`: the class and kind of a column, from its counts and the columns beside it.

Belongs here: thresholds, and whether header or values take precedence. Does not belong here: what a cell is
(`cells.py`), what a header says (`headers.py`), counting (`../profile.py`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from atlas_pipeline.pii.columns.headers import Hint, names_of, qualified, read
from atlas_pipeline.pii.columns.tally import Tally
from atlas_pipeline.pii.gazetteer import listed
from atlas_pipeline.pii.kinds import KINDS, SENSITIVE_KINDS
from atlas_pipeline.pii.plan import ColumnClass, ColumnProfile

_PROOF = {
    "EMAIL_ADDRESS": 0.5,
    "IBAN_CODE": 0.6,
    "SECRET": 0.6,
    "IP_ADDRESS": 0.8,
    "MAC_ADDRESS": 0.8,
    "URL": 0.6,
    "CREDIT_CARD": 0.75,
    "US_SSN": 0.8,
    "UK_NHS": 0.8,
    "PHONE_NUMBER": 0.7,
    "NATIONAL_ID": 0.8,
    "TAX_ID": 0.8,
    "HEALTH_ID": 0.8,
    "DRIVER_LICENSE": 0.8,
    "DEVICE_ID": 0.8,
    "ACCOUNT_NUMBER": 0.8,
    "VEHICLE_ID": 0.8,
    "CRYPTO": 0.8,
    "GEO_COORDINATES": 0.8,
    "GENDER": 0.8,
    "MARITAL_STATUS": 0.8,
    "STREET_ADDRESS": 0.5,
}
"""For each kind the share of cells that must prove it when the header does not name it; the surest kinds first."""
_DOUBTED = frozenset(
    {
        *("CREDIT_CARD", "US_SSN", "UK_NHS", "VEHICLE_ID", "STREET_ADDRESS", "NATIONAL_ID", "TAX_ID", "GENDER"),
        *("HEALTH_ID", "DEVICE_ID", "ACCOUNT_NUMBER"),
    }
)
"""Kinds that values alone do not prove under a header that names something else, such as an order number."""
_NUMBERS = ("code", "digits", "phone_digits")
_FITS: dict[str, tuple[float, tuple[str, ...]]] = {
    "EMAIL_ADDRESS": (0.4, ("EMAIL_ADDRESS",)),
    "PHONE_NUMBER": (0.5, ("PHONE_NUMBER", "national_phone", "phone_digits")),
    "DATE_OF_BIRTH": (0.4, ("date", "year")),
    "ZIPCODE": (0.5, ("zip", "strong_zip")),
    "CITY": (0.6, ("place",)),
    "GENDER": (0.5, ("GENDER", "gender_letter", "small")),
    "AGE": (0.6, ("age",)),
    "NRP": (0.6, ("letters", "small")),
    "MARITAL_STATUS": (0.6, ("MARITAL_STATUS", "letters", "small")),
    "CREDIT_CARD": (0.5, ("CREDIT_CARD",)),
    "IBAN_CODE": (0.5, ("IBAN_CODE",)),
    "ACCOUNT_NUMBER": (0.5, _NUMBERS),
    "US_SSN": (0.5, ("US_SSN", "ssn_digits")),
    "UK_NHS": (0.5, ("UK_NHS", "nhs")),
    "HEALTH_ID": (0.5, _NUMBERS),
    "TAX_ID": (0.5, (*_NUMBERS, "TAX_ID", "US_SSN")),
    "NATIONAL_ID": (0.5, (*_NUMBERS, "NATIONAL_ID", "TAX_ID", "US_SSN")),
    "PASSPORT": (0.5, _NUMBERS),
    "DRIVER_LICENSE": (0.5, _NUMBERS),
    "VEHICLE_ID": (0.5, ("VEHICLE_ID", "code")),
    "IP_ADDRESS": (0.5, ("IP_ADDRESS",)),
    "MAC_ADDRESS": (0.5, ("MAC_ADDRESS", "bare_mac")),
    "DEVICE_ID": (0.5, ("imei", "uuid", "code", "MAC_ADDRESS")),
    "GEO_COORDINATES": (0.6, ("GEO_COORDINATES", "decimal")),
    "URL": (0.5, ("URL", "domain", "path")),
    "SECRET": (0.5, ("SECRET", "login", "code", "digits", "letters", "uuid")),
    "USERNAME": (0.6, ("login",)),
    "CRYPTO": (0.5, ("CRYPTO",)),
    "ORGANIZATION": (0.5, ("letters",)),
}
"""For each kind that a header names: the share of cells that must fit, and the shapes that fit."""
_NAMES = ("name", "full_name", "part_name", "given_name", "family_name", "given_and_more", "initial", "titled")
_CODED = frozenset({"GENDER", "NRP", "MARITAL_STATUS", "AGE", "DATE_OF_BIRTH"})
"""Kinds that tables often code as small numbers, so that values which look like flags do not rule them out."""
_PROTECTED_ANYWAY = listed(
    "EMAIL_ADDRESS PHONE_NUMBER DATE_OF_BIRTH CREDIT_CARD IBAN_CODE US_SSN UK_NHS HEALTH_ID TAX_ID NATIONAL_ID "
    "PASSPORT DRIVER_LICENSE ACCOUNT_NUMBER PERSON SECRET IP_ADDRESS"
)
"""Kinds that are protected under a strong header even where the values do not fit."""
_PROSE_WORDS = listed(
    "note notes comment comments description desc text message body bio biography remark remarks content summary "
    "review feedback details bemerkung kommentar beschreibung notiz notas comentario comentarios descripcion "
    "commentaire remarque opmerking opmerkingen descrizione observacoes observaciones transcript abstract memo"
)
_PLAIN_FORMS = {"SECRET": "letters", "ZIPCODE": "small"}
"""Shapes that fit a kind only under a strong header."""
_DATE_PARTS = listed("month day monat tag mes mois mese maand dia jour giorno dag")
_REACHED = listed("contact contacto contato kontakt emergency")
_ACCOUNTS = listed("user author assignee reporter committer creator")
_SUBJECTS = listed(
    "patient patienten paciente paziente pacjent employee mitarbeiter employe empleado dipendente funcionario "
    "medewerker pracownik user benutzer usuario utilisateur utente gebruiker uzytkownik member mitglied membre miembro "
    "membro lid "
    "customer kunde kunden client cliente klant klient subscriber student student schuler alumno eleve person subject "
    "participant applicant tenant driver passenger guest resident citizen insured versicherte beneficiary donor "
    "candidate worker staff insuree personal"
)
_KEYS = listed("id ids no nr num number nummer numero key code uuid guid ref")
_VERSIONS = listed("version build revision release firmware oid section")
_THINGS = listed(
    "price sku qty quantity stock product brand item category unit weight material manufacturer ingredient model "
    "species genus latitude lat elevation population continent"
)
_PERSONS = frozenset({"DATE_OF_BIRTH", "GENDER", "US_SSN", "AGE", "MARITAL_STATUS"})
_REACHABLE = frozenset({"EMAIL_ADDRESS", "PHONE_NUMBER", "USERNAME"})
_KEPT = frozenset(kind.name for kind in KINDS.values() if not kind.personal)
_FEW = 3
_MANY = 8
"""So many values that each of them passes a test by chance in fewer than one of 100 columns, if half of all do."""
Decision = tuple[ColumnClass, str | None, float]


@dataclass(frozen=True)
class Column:
    """The counts of one column: how many of the sampled distinct values, and of their rows, cast each vote."""

    name: str
    hint: Hint
    tally: Tally
    looked_at: int = 0
    rows_looked_at: int = 0
    votes: Mapping[str, int] = field(default_factory=dict)
    row_votes: Mapping[str, int] = field(default_factory=dict)
    denied: int = 0
    embedded: int = 0
    custom: tuple[str, ...] = ()

    def share(self, vote: str) -> float:
        """The share of the column that casts the vote, 0 to 1: the mean of its shares of values and of rows."""
        if not self.looked_at:
            return 0.0
        return (self.votes.get(vote, 0) / self.looked_at + self.row_votes.get(vote, 0) / self.rows_looked_at) / 2

    def evidence(self, entity: str | None) -> dict[str, int]:
        """The counts behind the decision: totals, cells that prove any kind, and cells with a shape of `entity`."""
        counts = {"rows": self.tally.rows, "missing": self.tally.missing, "distinct": len(self.tally.counts)}
        counts |= {"masked": self.tally.masked} if self.tally.masked else {}
        counts |= {"header": 1} if self.hint.kind else {}
        counts |= {"denied": self.denied} if self.denied else {}
        shapes = _NAMES if entity == "PERSON" else _FITS.get(entity or "", (0.0, ()))[1]
        relevant = {*KINDS, "embedded", "prose", *self.custom, *shapes}
        return counts | {vote: count for vote, count in self.votes.items() if vote in relevant}


@dataclass(frozen=True)
class Beside:
    """What the table as a whole suggests for each of its columns.

    `persons` counts columns that only natural persons have, such as a date of birth; `people` counts these and ways to
    reach somebody, such as a phone number, which a company has as well; `things` counts columns such as a price.
    `subjects` tells whether rows belong to persons at all: by these, by names, or by a key such as `patient_id`. Of a
    column on its own nobody knows what it stands beside elsewhere: it counts as one of persons, as a list of salaries
    in the order of a list of names is.
    """

    people: int
    persons: int
    things: int
    subjects: bool = False


def beside(columns: Iterable[Column], others: Sequence[ColumnProfile] = ()) -> Beside:
    """Count the table's columns of people and of things, by their headers and e-mail addresses.

    Args:
        columns: Those that are looked at.
        others: The rest of the table, as it was found or declared before.
    """
    people = persons = things = alone = 0
    subjects = False
    for column in columns:
        alone += 1
        subjects = subjects or _belongs(column)
        kind = column.hint.kind
        person = kind in _PERSONS or (kind == "PERSON" and column.hint.strong)
        persons += person
        people += person or kind in _REACHABLE or column.share("EMAIL_ADDRESS") >= 0.5
        things += bool(set(column.hint.words) & _THINGS)
    for other in others:
        alone += 1
        person = other.entity in _PERSONS or other.entity == "PERSON"
        subjects = subjects or person or other.entity == "NATIONAL_ID" or names_persons(other.name)
        persons += person
        people += person or other.entity in _REACHABLE
        things += bool(set(read(other.name).words) & _THINGS)
    return Beside(people, persons, things, subjects or people > 0 or alone == 1)


def names_persons(header: str) -> bool:
    """Whether a header is that of a key of persons, such as `patient_id`, so that rows belong to persons."""
    words = set(read(header).words)
    return bool(words & _SUBJECTS and (len(words) == 1 or words & _KEYS))


def _belongs(column: Column) -> bool:
    """Whether the column tells whose row it is: a key of persons, a number of a register, names."""
    if names_persons(column.name):
        return True
    named = sum(map(column.share, ("full_name", "part_name", "given_name")))
    return column.share("NATIONAL_ID") >= 0.8 or (named >= 0.6 and not column.hint.other)


def decide(column: Column, table: Beside) -> ColumnProfile:
    """Decide the class, kind and confidence of one column.

    Args:
        column: The counts of the column.
        table: What its table suggests, from `beside`.
    """
    column_class, entity, confidence = _decide(column, table)
    return ColumnProfile(column.name, column_class, entity, round(min(confidence, 1.0), 3), column.evidence(entity))


def _decide(column: Column, table: Beside) -> Decision:
    if not column.looked_at:
        return _masked(column)
    for kind in column.custom:
        if kind != "embedded" and column.share(kind) >= 0.5:
            return "typed", kind, column.share(kind)
    if _tells(column):
        return "free_text", None, 0.8
    typed = _by_values(column) or _by_header(column, table) or _by_names(column, table)
    if typed and typed[0] == "typed" and not (_hides(column) and typed[1] in _KEPT):
        return typed
    odd = _odd(column)
    if odd and column.share("prose") < 0.5:
        return typed or odd
    if _is_prose(column):
        return "free_text", None, 0.8
    return typed or odd or ("clean", None, 0.8)


def _masked(column: Column) -> Decision:
    """A column without values, or with masked ones only. Digests may be unkeyed, so under a strong header of a kind
    that Atlas hashes they are hashed again; Atlas's own tokens are kept by `hash_values`."""
    kind, hashes = column.hint.kind, column.tally.digests > 0
    if hashes and kind and column.hint.strong and (KINDS[kind].action == "hash" or kind in SENSITIVE_KINDS):
        return "uncertain", kind, 0.4
    return "clean", None, 0.9 if column.tally.masked else 0.0


def _tells(column: Column) -> bool:
    """Whether the cells are sentences with personal data in them, even where most cells hold the same kind."""
    telling = bool(set(column.hint.words) & _PROSE_WORDS) or _hides(column)
    return column.hint.kind is None and telling and column.share("prose") >= 0.5


def _by_values(column: Column) -> Decision | None:
    for kind, needed in _PROOF.items():
        share = max(column.share(kind), _national_phones(column) if kind == "PHONE_NUMBER" else 0.0)
        if share >= needed and not _explained(column, kind, share):
            return ("uncertain", kind, 0.5) if _doubted(column, kind) else ("typed", kind, share)
    if column.hint.other:
        return None
    if column.share("bare_mac") >= 0.9 and column.looked_at >= _MANY:
        return "uncertain", "MAC_ADDRESS", 0.6
    if column.share("STREET_ADDRESS") >= 0.15 and _streets(column) >= 0.7:
        return "typed", "STREET_ADDRESS", _streets(column)
    if column.share("strong_zip") >= 0.9 and column.hint.kind is None and column.looked_at >= _FEW:
        return "typed", "ZIPCODE", column.share("strong_zip")
    return None


def _explained(column: Column, kind: str, share: float) -> bool:
    """Whether there is another explanation for values that seem to prove a kind."""
    hint, few = column.hint, column.looked_at < _FEW
    if kind == "IP_ADDRESS":
        return bool(set(hint.words) & _VERSIONS)
    if kind in {"GENDER", "MARITAL_STATUS"} and column.looked_at < 2 and hint.kind != kind:
        return True
    if kind == "CREDIT_CARD" and few and hint.kind != kind and column.share("digits") > 0.5:
        return True
    if kind not in _DOUBTED:
        return False
    return (hint.other and (share < 0.9 or few)) or (hint.kind not in {kind, None} and _fit(column, hint.kind) > share)


def _doubted(column: Column, kind: str) -> bool:
    lone_address = kind == "STREET_ADDRESS" and column.looked_at < _FEW and column.hint.kind is None
    return lone_address or (kind in _DOUBTED and column.hint.other)


def _national_phones(column: Column) -> float:
    """The share of phone numbers in national form. They count only where the header does not name something else."""
    if column.hint.other or (column.hint.kind not in {None, "PHONE_NUMBER"} and _fit(column, column.hint.kind) > 0.5):
        return 0.0
    proven = column.share("national_phone") + column.share("PHONE_NUMBER")
    return column.share("phone_digits") if proven >= 0.3 and not column.hint.kind else proven


def _fit(column: Column, kind: str | None) -> float:
    """The share of the column that fits the kind named by its header, at most 1; shapes of one kind may overlap."""
    if kind is None or kind not in _FITS:
        return 0.0
    shapes = _FITS[kind][1]
    if kind == "DATE_OF_BIRTH" and set(column.hint.words) & _DATE_PARTS:
        shapes += ("month",)
    if kind == "DATE_OF_BIRTH" and column.hint.words[-1] != "birth":
        shapes += ("digits",)
    return min(1.0, sum(column.share(shape) for shape in shapes))


def _by_header(column: Column, table: Beside) -> Decision | None:
    kind = column.hint.kind
    if kind is None or kind == "PERSON":
        return None
    if kind in SENSITIVE_KINDS:
        return _sensitive(column, table)
    if column.share("flag") > 0.9 and not (kind in _CODED and column.share("letters") < 0.5):
        return None
    if kind == "STREET_ADDRESS":
        return _address(column, table)
    if kind == "ORGANIZATION" and column.share("full_name") >= 0.7 and column.share("organization") < 0.1:
        return "typed", "PERSON", column.share("full_name")
    if kind == "USERNAME" and column.share("uuid") + column.share("digits") > 0.5:
        return None
    named = column.share("full_name") + column.share("part_name") + column.share("given_name")
    if kind == "USERNAME" and named >= 0.6:
        return "typed", "PERSON", named
    needed = _FITS[kind][0]
    share = _fit(column, kind)
    if not column.hint.strong and kind not in {"PHONE_NUMBER", "CREDIT_CARD"}:
        needed = max(needed, 0.8)
    if not column.hint.strong and kind in _PLAIN_FORMS:
        share -= column.share(_PLAIN_FORMS[kind])
    if share >= needed:
        return "typed", kind, (share + 1) / 2
    return None


def _sensitive(column: Column, table: Beside) -> Decision | None:
    """A special category, money or a trail: never proven, protected in a table that holds persons. What nearly always
    is about a person is protected in any table but those of things."""
    if table.subjects or (column.hint.strong and not table.things):
        return "uncertain", column.hint.kind, 0.5
    return None


def _address(column: Column, table: Beside) -> Decision | None:
    street = _streets(column)
    if column.hint.strong and street >= 0.2:
        return "typed", "STREET_ADDRESS", (1 + street) / 2
    proven = column.share("STREET_ADDRESS")
    if street >= 0.5 and (proven >= 0.2 or proven + column.share("numbered") >= 0.5):
        return "typed", "STREET_ADDRESS", (1 + street) / 2
    if column.hint.strong and column.share("letters") >= 0.6 and column.share("code") < 0.5:
        several = column.share("login") < 0.5
        return ("typed" if several or table.people else "uncertain"), "STREET_ADDRESS", 0.6
    return None


def _streets(column: Column) -> float:
    return min(1.0, column.share("STREET_ADDRESS") + column.share("numbered") + column.share("street_name"))


def _by_names(column: Column, table: Beside) -> Decision | None:
    hint = column.hint
    shape, full, part = column.share("name"), column.share("full_name"), column.share("part_name")
    given_share, family = column.share("given_name"), column.share("family_name")
    single = max(given_share, family)
    name_share = full + part + single
    if hint.kind == "PERSON" and hint.strong:
        return ("typed", "PERSON", (1 + shape) / 2) if shape + column.share("initial") >= 0.4 else None
    if hint.kind == "PERSON" and set(hint.words) & _REACHED and column.share("phone_digits") >= 0.8:
        return "typed", "PHONE_NUMBER", 0.7
    if hint.kind == "PERSON" and column.share("flag") < 0.5:
        return _weak_name(column, table, shape, name_share, full + part)
    if hint.kind not in {None, "USERNAME"} or column.share("organization") > 0.2:
        return None
    if column.share("titled") >= 0.6 and not hint.other:
        return "typed", "PERSON", column.share("titled")
    if column.share("known_place") >= max(0.5, given_share - 0.2) and full < 0.5:
        return None
    if hint.other:
        return ("uncertain", "PERSON", 0.5) if full >= 0.7 or (given_share >= 0.8 and column.looked_at >= 5) else None
    if shape >= 0.7 and ((full >= 0.5 and full + part >= 0.7) or column.share("given_and_more") >= 0.65):
        return "typed", "PERSON", full + part
    if column.share("unspaced_name") >= 0.9 and column.looked_at >= _MANY:
        return "uncertain", "PERSON", 0.5
    if single >= 0.75 and column.looked_at >= 5:
        return ("typed" if single >= 0.8 and (given_share >= 0.8 or table.people) else "uncertain"), "PERSON", single
    return None


def _weak_name(column: Column, table: Beside, shape: float, name_share: float, several: float) -> Decision | None:
    """A header such as `name`, or a person's role: the values must look like names, fewer of them beside columns
    about people."""
    words = column.hint.words
    if shape < 0.6 or column.share("organization") > 0.3:
        return ("uncertain", "PERSON", 0.4) if name_share >= 0.4 else None
    single = max(column.share("given_name"), column.share("family_name"))
    if column.share("known_place") >= 0.5 and several < 0.3 and not (table.people and single > 0.8):
        return None
    needed = 0.4 if names_of(words) or table.people else 0.6
    if (table.things and not table.people) or qualified(words):
        needed = 0.8
    if table.things and not table.people and several < 0.3:
        return ("uncertain", "PERSON", 0.4) if name_share >= needed else None
    if name_share >= needed:
        return "typed", "PERSON", min(1.0, (1 + name_share) / 2)
    if shape >= 0.7 and table.people and not table.things and not qualified(words) and column.share("plain_word") < 0.2:
        return ("typed" if table.persons or names_of(words) else "uncertain"), "PERSON", 0.5
    if set(words) & _ACCOUNTS and column.share("login") >= 0.8 and not table.things:
        return "uncertain", "USERNAME", 0.4
    return ("uncertain", "PERSON", 0.4) if name_share >= 0.3 else None


def _hides(column: Column) -> bool:
    """Whether some cells hold personal data within other text."""
    return bool(column.denied or column.embedded or column.votes.get("embedded") or column.custom)


def _is_prose(column: Column) -> bool:
    if _hides(column):
        return True
    if 0 < column.share("EMAIL_ADDRESS") < 0.5 and column.hint.kind is None:
        return True
    needed = 0.1 if set(column.hint.words) & _PROSE_WORDS else 0.3
    if column.share("prose") >= needed:
        return True
    return bool(set(column.hint.words) & _PROSE_WORDS) and column.share("words") >= 0.3


def _odd(column: Column) -> Decision | None:
    """A kind that the header names and the values do not support: uncertain and so protected, unless the values are
    flags or small numbers."""
    kind = column.hint.kind
    if kind not in _PROTECTED_ANYWAY or sum(map(column.share, ("flag", "small", "decimal"))) > 0.5:
        return None
    if column.hint.strong or _fit(column, kind) >= 0.25:
        return "uncertain", kind, 0.4
    return None
