"""Numbers of registers: for each that Atlas knows, valid ones, bare and as they are written.

Belongs here: headers that name them, and how they are written. Does not belong here: the check digits, which are
those of `pii/registers`: the numbers are random ones that pass.
"""

import random
from collections.abc import Callable

from atlas_pipeline.pii.registers.known import REGISTERS, Register
from atlas_pipeline_tests.pii.values.made import Value, matching

HEADERS = {
    "Albania NIPT": "nipt",
    "Argentina CUIT": "cuit",
    "Argentina CBU": "cbu",
    "Australia TFN": "tax_file_number",
    "Australia Medicare": "medicare_no",
    "Austria SVNR": "svnr",
    "Belgium national number": "rijksregisternummer",
    "Brazil CPF": "cpf",
    "Brazil CNPJ": "cnpj",
    "Brazil PIS": "pis_pasep",
    "Bulgaria EGN": "egn",
    "Canada SIN": "social_insurance_number",
    "Canada BC health number": "personal_health_number",
    "Chile RUT": "rut",
    "China identity number": "身份证号",
    "Croatia OIB": "oib",
    "Cuba NI": "numero_identidad",
    "Czech or Slovak birth number": "rodne_cislo",
    "Denmark CPR": "cpr_nummer",
    "Dominican Republic cédula": "cedula",
    "Ecuador CI": "cedula_identidad",
    "Egypt": "national_id",
    "Estonia": "isikukood",
    "Finland HETU": "henkilotunnus",
    "France NIR": "numero_securite_sociale",
    "France tax number": "numero_fiscal",
    "Germany tax id": "steuer_id",
    "Germany health insurance": "krankenversichertennummer",
    "Germany pension insurance": "rentenversicherungsnummer",
    "Germany identity card": "personalausweisnummer",
    "Greece AMKA": "amka",
    "Greece AFM": "afm",
    "Hong Kong": "hkid",
    "Hungary TAJ": "taj_szam",
    "Hungary tax number": "adoazonosito_jel",
    "Iceland kennitala": "kennitala",
    "India Aadhaar": "aadhaar_number",
    "India PAN": "pan_card",
    "India voter": "voter_id",
    "India GSTIN": "gstin",
    "Indonesia NIK": "nik",
    "Ireland PPS": "pps_number",
    "Israel identity number": "teudat_zehut",
    "Italy codice fiscale": "codice_fiscale",
    "Italy VAT of a trader": "partita_iva",
    "Japan My Number": "マイナンバー",
    "Kazakhstan IIN": "iin",
    "Kenya PIN": "kra_pin",
    "Latvia": "personas_kods",
    "Lithuania": "asmens_kodas",
    "Luxembourg": "matricule_national",
    "Malaysia NRIC": "nric",
    "Mauritius": "national_id_number",
    "Mexico CURP": "curp",
    "Mexico RFC": "rfc",
    "Mexico CLABE": "clabe",
    "Netherlands BSN": "bsn",
    "New Zealand IRD": "ird_number",
    "New Zealand NHI": "nhi_number",
    "Norway": "fodselsnummer",
    "Norway bank account": "kontonummer",
    "Pakistan CNIC": "cnic",
    "Poland PESEL": "pesel",
    "Poland NIP": "nip",
    "Poland identity card": "dowod_osobisty",
    "Portugal NIF": "nif",
    "Portugal citizen card": "cartao_de_cidadao",
    "Romania CNP": "cnp",
    "Russia INN of a person": "ИНН",
    "Russia SNILS": "СНИЛС",
    "Former Yugoslavia JMBG": "jmbg",
    "Singapore": "nric_fin",
    "South Africa": "sa_id_number",
    "South Korea": "주민등록번호",
    "South Korea as written": "rrn",
    "Spain DNI and NIE": "dni_nie",
    "Spain bank account": "cuenta_bancaria",
    "Sweden": "personnummer",
    "Switzerland AHV": "ahv_nummer",
    "Taiwan": "身分證字號",
    "Thailand": "thai_id",
    "Turkey": "tc_kimlik_no",
    "Ukraine RNTRC": "РНОКПП",
    "United Kingdom NHS": "nhs_number",
    "United Kingdom NINO": "nino",
    "United Kingdom driving licence": "driving_licence",
    "United States NPI": "npi",
    "United States MBI": "mbi",
    "United States DEA": "dea_number",
    "United States ITIN": "itin",
    "Uruguay": "cedula_uy",
    "Venezuela RIF": "rif",
    "IMEI": "imei",
    "SIM card": "iccid",
}
"""For each identifier of `pii/registers` a header that tells what it is."""
_DAY, _MONTH = r"(?:0[1-9]|1\d|2[0-8])", r"(?:0[1-9]|1[0-2])"
NARROW = {
    "China identity number": rf"(?:110101|310104|440305|510107)19[5-9]\d{_MONTH}{_DAY}\d{{3}}[0-9X]",
    "Finland HETU": rf"{_DAY}{_MONTH}[4-9]\d-\d{{3}}[0-9A-FHJ-NPR-Y]",
    "Mauritius": rf"[A-Z]{_DAY}{_MONTH}\d{{8}}[0-9A-Z]",
    "Mexico CURP": rf"[BCDFGHJKLM][AEIOU][BCDFG]{{2}}[5-9]\d{_MONTH}{_DAY}[HM](?:DF|JC|NL|MC)[BCDFG]{{3}}[0-9]\d",
    "Australia TFN": r"\d{9}",
    "Australia Medicare": r"[2-6]\d{9}",
    "Mexico RFC": rf"[A-Z]{{4}}\d\d{_MONTH}{_DAY}[0-9A-Z]{{3}}",
    "Netherlands BSN": r"\d{9}",
    "SIM card": r"89\d{17}",
    "Sweden": rf"[4-9]\d{_MONTH}{_DAY}\d{{4}}",
    "Norway": rf"{_DAY}{_MONTH}[5-9]\d[0-4]\d{{4}}",
    "Poland PESEL": rf"[5-9]\d{_MONTH}{_DAY}\d{{5}}",
}
"""Forms of which more random numbers pass than of the register's own."""
UNPROVEN = frozenset({"Uruguay"})
"""Numbers of seven or eight digits that other numbers pass too often."""


def valid(register: Register) -> Callable[[random.Random], str]:
    """Make numbers that pass the check, without separators."""

    def make(rng: random.Random) -> str:
        while True:
            number = matching(rng, NARROW.get(register.name, register.form))
            if register.passes(number):
                return number

    return make


def written(register: Register) -> Callable[[random.Random], str]:
    """Make numbers that pass the check, with the separators of the issuer."""

    def make(rng: random.Random) -> str:
        while True:
            number, shape = valid(register)(rng), matching(rng, register.written)
            letters = iter(number)
            if sum(map(str.isalnum, shape)) == len(number):
                return "".join(next(letters) if mark.isalnum() else mark for mark in shape.replace("+", "-"))

    return make


def _values() -> tuple[Value, ...]:
    bare = [
        Value(register.name, HEADERS[register.name], valid(register), register.name not in UNPROVEN)
        for register in REGISTERS
        if not register.only_written
    ]
    spelt = [
        Value(f"{register.name}, as written", HEADERS[register.name], written(register), True)
        for register in REGISTERS
        if register.only_written or (register.written and not register.written.startswith("["))
    ]
    return (*bare, *spelt)


VALUES = _values()
