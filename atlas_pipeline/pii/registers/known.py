"""The identifiers of many countries, as a table: form, check, and how many random values pass.

Belongs here: the table. Does not belong here: counting (`proof.py`) and arithmetic (`digits.py`; most of it is that of
python-stdnum).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module

_DAY = r"(?:0[1-9]|[12]\d|3[01])"
_MONTH = r"(?:0[1-9]|1[0-2])"
_YMD, _DMY = rf"\d\d{_MONTH}{_DAY}", rf"{_DAY}{_MONTH}\d\d"


@dataclass(frozen=True)
class Register:
    """One identifier.

    `form` is what a cell looks like without separators, ignoring case, and `written` how it is written with them, if
    that tells it from other numbers. `check` names the function that decides: a module of python-stdnum, or a function
    of `digits.py` or `../checks.py` after a colon; without one the form decides. Of `chance` random values, with digits
    and letters in the same places, about one passes. Where `only_written`, values without separators prove nothing.
    """

    name: str
    kind: str
    form: str
    check: str = ""
    chance: float = 10
    written: str = ""
    only_written: bool = False
    pattern: re.Pattern[str] = field(init=False, repr=False)
    spelling: re.Pattern[str] | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Compile the forms."""
        object.__setattr__(self, "pattern", re.compile(self.form, re.IGNORECASE))
        object.__setattr__(self, "spelling", re.compile(self.written, re.IGNORECASE) if self.written else None)

    @cached_property
    def valid(self) -> Callable[[str], bool]:
        """The check of a value of the form, without separators."""
        module, _, function = self.check.partition(":")
        if not self.check:
            return bool
        name = f"atlas_pipeline.pii.{module}" if function else f"stdnum.{module}"
        check: Callable[[str], bool] = getattr(import_module(name), function or "is_valid")
        return check

    def passes(self, value: str, written: str = "") -> bool:
        """Whether a value has the form and passes the check.

        Args:
            value: The value without separators.
            written: The value with them: some are part of it, such as those that tell the century.
        """
        try:
            if self.pattern.fullmatch(value) is None:
                return False
            return self.valid(value) or (
                self.spelling is not None and self.spelling.fullmatch(written) is not None and self.valid(written)
            )
        except (LookupError, ValueError):
            # python-stdnum does not have every region, month or letter in its tables.
            return False


_N, _T, _H, _A, _D = "NATIONAL_ID", "TAX_ID", "HEALTH_ID", "ACCOUNT_NUMBER", "DEVICE_ID"
_OWN = "registers.digits:"
_RARE = r"[\w ./-]+"
"""However it is written: hardly anything else has letters and digits in these places."""

REGISTERS = (
    Register("Albania NIPT", _T, r"[A-T]\d{8}[A-W]", "al.nipt", 2.2, _RARE),
    Register("Argentina CUIT", _T, r"(?:20|2[347]|3[034])\d{9}", "ar.cuit", 120, r"\d\d-\d{8}-\d"),
    Register("Argentina CBU", _A, r"\d{22}", "ar.cbu", 90),
    Register("Australia TFN", _T, r"\d{8,9}", "au.tfn", 9, r"\d{3} \d{3} \d{3}"),
    Register("Australia Medicare", _H, r"[2-6]\d{9,10}", f"{_OWN}medicare_of_australia", 17, r"\d{4} \d{5} \d"),
    Register("Austria SVNR", _N, rf"[1-9]\d{{3}}{_DMY}", "at.vnr", 250, rf"\d{{4}} {_DMY}"),
    Register("Belgium national number", _N, r"\d{11}", "be.nn", 730, r"\d\d\.\d\d\.\d\d-\d{3}\.\d\d"),
    Register("Brazil CPF", _N, r"\d{11}", "br.cpf", 80, r"\d{3}\.\d{3}\.\d{3}-\d\d"),
    Register("Brazil CNPJ", _T, r"\d{14}", "br.cnpj", 80, r"\d\d\.\d{3}\.\d{3}/\d{4}-\d\d"),
    Register("Brazil PIS", _N, r"[12]\d{10}", f"{_OWN}pis", 40, r"\d{3}\.\d{5}\.\d\d-\d"),
    Register("Bulgaria EGN", _N, r"\d{2}[0-5]\d{7}", "bg.egn", 60),
    Register("Canada SIN", _N, r"[1-79]\d{8}", "ca.sin", 10, r"\d{3}([ -])\d{3}\1\d{3}"),
    Register("Canada BC health number", _H, r"9\d{9}", "ca.bc_phn", 90),
    Register("Chile RUT", _T, r"\d{7,8}[0-9K]", "cl.rut", 10, r"\d{1,2}(?:\.\d{3}){2}-[\dkK]|\d{7,8}-[\dkK]"),
    Register("China identity number", _N, r"\d{17}[0-9X]", "cn.ric", 1000),
    Register("Croatia OIB", _N, r"\d{11}", "hr.oib", 8),
    Register("Cuba NI", _N, rf"{_YMD}[0-9]\d{{4}}", "cu.ni", 20),
    Register("Czech or Slovak birth number", _N, r"\d{2}[0-35-8]\d{6,7}", "cz.rc", 13, r"\d{6}/\d{3,4}"),
    Register("Denmark CPR", _N, rf"{_DMY}\d{{4}}", f"{_OWN}day_of_birth", 20, rf"{_DMY}-\d{{4}}", True),
    Register("Dominican Republic cédula", _N, r"\d{11}", "do.cedula", 8, r"\d{3}-\d{7}-\d"),
    Register("Ecuador CI", _N, r"(?:[01]\d|2[0-4]|30)\d{8}", "ec.ci", 40),
    Register("Egypt", _N, rf"[23]{_YMD}(?:0[1-4]|1[1-9]|2[1-9]|3[1-5]|88)\d{{5}}", "", 600),
    Register("Estonia", _N, rf"[1-8]{_YMD}\d{{4}}", "ee.ik", 340),
    Register("Finland HETU", _N, r"\d{6}[-+A-FU-Y]?\d{3}[0-9A-FHJ-NPR-Y]", "fi.hetu", 1000, r"\d{6}[-+A-FU-Y]\d{3}\w"),
    Register("France NIR", _N, r"[1-478]\d\d\d\d(?:\d\d|2[AB])\d{3}\d{3}\d\d", "fr.nir", 340),
    Register("France tax number", _T, r"[0-3]\d{12}", "fr.nif", 1000),
    Register("Germany tax id", _T, r"[1-9]\d{10}", "de.idnr", 270, r"\d\d \d{3} \d{3} \d{3}"),
    Register("Germany health insurance", _H, r"[A-Z]\d{9}", f"{_OWN}insured_in_germany", 8),
    Register("Germany pension insurance", _N, r"\d{8}[A-Z]\d{3}", f"{_OWN}pension_in_germany", 8),
    Register("Germany identity card", _N, r"[CFGHJKLMNPRTVWXYZ][CFGHJKLMNPRTVWXYZ0-9]{8}\d", f"{_OWN}document", 90),
    Register("Greece AMKA", _N, rf"{_DMY}\d{{5}}", "gr.amka", 180),
    Register("Greece AFM", _T, r"\d{9}", "gr.vat", 8),
    Register("Hong Kong", _N, r"[A-Z]{1,2}\d{6}\(?[0-9A]\)?", f"{_OWN}hong_kong", 10, r"[A-Z]{1,2}\d{6}\([0-9A]\)"),
    Register("Hungary TAJ", _H, r"\d{9}", f"{_OWN}health_of_hungary", 8),
    Register("Hungary tax number", _T, r"8\d{9}", f"{_OWN}tax_of_hungary", 90),
    Register("Iceland kennitala", _N, r"[0-7]\d[01]\d{6}[089]", "is_.kennitala", 360, r"\d{6}-\d{4}"),
    Register("India Aadhaar", _N, r"[2-9]\d{11}", "in_.aadhaar", 11, r"\d{4}([ -])\d{4}\1\d{4}"),
    Register("India PAN", _T, r"[A-Z]{5}\d{4}[A-Z]", "in_.pan", 2.4, _RARE),
    Register("India voter", _N, r"[A-Z]{3}\d{7}", "in_.epic", 8),
    Register("India GSTIN", _T, r"\d\d[A-Z]{5}\d{4}[A-Z][0-9A-Z]Z[0-9A-Z]", "in_.gstin", 1000),
    Register("Indonesia NIK", _N, r"[1-9]\d{15}", "id.nik", 20),
    Register("Ireland PPS", _N, r"\d{7}[A-W][A-IW]?", "ie.pps", 40),
    Register("Israel identity number", _N, r"\d{9}", "il.idnr", 8),
    Register(
        "Italy codice fiscale",
        _T,
        r"[A-Z]{6}[\dL-NP-V]{2}[A-Z][\dL-NP-V]{2}[A-Z][\dL-NP-V]{3}[A-Z]",
        "it.codicefiscale",
        1000,
    ),
    Register("Italy VAT of a trader", _T, r"\d{11}", "it.iva", 70),
    Register("Japan My Number", _N, r"\d{12}", "jp.in_", 8, r"\d{4}([ -])\d{4}\1\d{4}"),
    Register("Kazakhstan IIN", _N, rf"{_YMD}[1-6]\d{{5}}", f"{_OWN}kazakhstan", 400),
    Register("Kenya PIN", _T, r"A\d{9}[A-Z]", "ke.pin", 20, _RARE),
    Register("Latvia", _N, rf"{_DMY}[0-2]\d{{4}}", "lv.pvn", 540, rf"{_DMY}-\d{{5}}"),
    Register("Lithuania", _N, rf"[1-6]{_YMD}\d{{4}}", "lt.asmens", 410),
    Register("Luxembourg", _N, rf"(?:19|20){_YMD}\d{{5}}", f"{_OWN}luxembourg", 1000),
    Register("Malaysia NRIC", _N, rf"{_YMD}\d{{6}}", "my.nric", 20, rf"{_YMD}-\d\d-\d{{4}}", True),
    Register("Mauritius", _N, r"[A-Z]\d{12}[0-9A-Z]", "mu.nid", 850),
    Register("Mexico CURP", _N, r"[A-Z]{4}\d{6}[HMX][A-Z]{5}[0-9A-Z]\d", "mx.curp", 1000),
    Register("Mexico RFC", _T, rf"[A-Z&Ñ]{{4}}{_YMD}[0-9A-Z]{{3}}", "mx.rfc", 20),
    Register("Mexico CLABE", _A, r"\d{18}", f"{_OWN}clabe", 8),
    Register("Netherlands BSN", _N, r"\d{8,9}", "nl.bsn", 9, r"\d{4}\.\d\d\.\d{3}"),
    Register("New Zealand IRD", _T, r"(?:[1-9]\d|1[0-5]\d)\d{6}", "nz.ird", 18, r"\d{2,3}-\d{3}-\d{3}"),
    Register("New Zealand NHI", _H, r"[A-HJ-NP-Z]{3}\d{4}", f"{_OWN}health_of_new_zealand", 11),
    Register("Norway", _N, r"[0-7]\d{10}", "no.fodselsnummer", 1000, r"\d{6} \d{5}"),
    Register("Norway bank account", _A, r"\d{11}", "no.kontonr", 9, r"\d{4}\.\d\d\.\d{5}"),
    Register("Pakistan CNIC", _N, r"[1-7]\d{12}", "pk.cnic", 1.6, r"\d{5}-\d{7}-\d", True),
    Register("Poland PESEL", _N, r"\d{2}[0-389]\d{8}", "pl.pesel", 70),
    Register("Poland NIP", _T, r"[1-9]\d{9}", "pl.nip", 10, r"\d{3}-\d{3}-\d\d-\d\d|\d{3}-\d\d-\d\d-\d{3}"),
    Register("Poland identity card", _N, r"[A-Z]{3}\d{6}", f"{_OWN}polish_card", 8),
    Register("Portugal NIF", _T, r"[1-3569]\d{8}", "pt.nif", 14, r"\d{3} \d{3} \d{3}"),
    Register("Portugal citizen card", _N, r"\d{9}[A-Z]{2}\d", "pt.cc", 8),
    Register("Romania CNP", _N, rf"[1-9]{_YMD}\d{{6}}", "ro.cnp", 620),
    Register("Russia INN of a person", _T, r"\d{12}", "ru.inn", 80),
    Register("Russia SNILS", _N, r"\d{11}", f"{_OWN}snils", 80, r"\d{3}-\d{3}-\d{3}[ -]\d\d"),
    Register("Former Yugoslavia JMBG", _N, rf"{_DAY}{_MONTH}[09]\d{{8}}", "si.emso", 1000),
    Register("Singapore", _N, r"[STFGM]\d{7}[A-Z]", f"{_OWN}singapore", 100),
    Register("South Africa", _N, rf"{_YMD}\d{{4}}[012]\d\d", "za.idnr", 1000),
    Register("South Korea", _N, rf"{_YMD}[1-8]\d{{6}}", "kr.rrn", 350),
    Register("South Korea as written", _N, rf"{_YMD}[1-8]\d{{6}}", "", 20, rf"{_YMD}-[1-8]\d{{6}}", True),
    Register("Spain DNI and NIE", _N, r"(?:\d{8}|[XYZ]\d{7})[A-Z]", f"{_OWN}spanish", 40, _RARE),
    Register("Spain bank account", _A, r"\d{20}", "es.ccc", 70),
    Register("Sweden", _N, r"(?:19|20)?\d\d[01]\d[0-9]\d{5}", "se.personnummer", 440, r"(?:\d\d)?\d{6}[-+]\d{4}"),
    Register("Switzerland AHV", _N, r"756\d{10}", "ch.ssn", 1000, r"756\.\d{4}\.\d{4}\.\d\d"),
    Register("Taiwan", _N, r"[A-Z][1289]\d{8}", f"{_OWN}taiwan", 20),
    Register("Thailand", _N, r"[1-8]\d{12}", "th.pin", 10, r"\d-\d{4}-\d{5}-\d\d-\d"),
    Register("Turkey", _N, r"[1-9]\d{10}", "tr.tckimlik", 90),
    Register("Ukraine RNTRC", _T, r"\d{10}", "ua.rntrc", 8),
    Register("United Kingdom NHS", "UK_NHS", r"[4-7]\d{9}", "gb.nhs", 20, r"\d{3}([ -])\d{3}\1\d{4}"),
    Register(
        "United Kingdom NINO",
        _N,
        r"(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]\d{6}[A-D]",
        "",
        9,
        _RARE,
    ),
    Register(
        "United Kingdom driving licence",
        "DRIVER_LICENSE",
        r"[A-Z9]{5}\d[0156]\d(?:[0-2]\d|3[01])\d[A-Z9]{2}[A-Z0-9]{3}",
        "",
        8,
        _RARE,
    ),
    Register("United States NPI", _H, r"[12]\d{9}", f"{_OWN}npi", 30),
    Register(
        "United States MBI",
        _H,
        r"[1-9][AC-HJKMNP-RT-Y][AC-HJKMNP-RT-Y\d]\d[AC-HJKMNP-RT-Y][AC-HJKMNP-RT-Y\d]\d"
        r"[AC-HJKMNP-RT-Y]{2}\d\d",
        "",
        3,
        _RARE,
    ),
    Register("United States DEA", _H, r"[A-HJ-MP-UX][A-Z9]\d{7}", f"{_OWN}drug_agency", 12),
    Register("United States ITIN", _T, r"9\d\d[5-9]\d{5}", "us.itin", 30, r"9\d\d-[5-9]\d-\d{4}", True),
    Register("Uruguay", _N, r"[1-9]\d{6,7}", f"{_OWN}uruguay", 9, r"\d\.\d{3}\.\d{3}-\d"),
    Register("Venezuela RIF", _T, r"[VEJPG]\d{9}", "ve.rif", 40, r"[VEJPG]-\d{8}-\d"),
    Register("IMEI", _D, r"\d{15}", "luhn", 8, r"\d\d-\d{6}-\d{6}-\d"),
    Register("SIM card", _D, r"89\d{16,18}", "luhn", 1000),
)
