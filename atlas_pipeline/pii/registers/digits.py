"""Check digits that python-stdnum does not have, each a predicate of one value without separators.

Belongs here: the arithmetic, with the document that defines it. Does not belong here: which identifier has which form
(`known.py`), and checks that prose and the sweep use as well (`../checks.py`).
"""

from collections.abc import Sequence
from datetime import date


def weighted(text: str, weights: Sequence[int]) -> int:
    """The sum of the leading digits, each times its weight."""
    return sum(int(digit) * weight for digit, weight in zip(text, weights, strict=False))


def day_of_birth(text: str) -> bool:
    """Whether the first six digits are a day, with the year first or last; a day may be 40 more, as in Indonesia."""
    first, month, last = int(text[:2]), int(text[2:4]), int(text[4:6])
    for year, day in ((first, last), (last, first)):
        try:
            date(2000 + year, month, day - 40 if day > 40 else day)
        except ValueError:
            continue
        return True
    return False


def npi(text: str) -> bool:
    """National Provider Identifier: Luhn with the prefix 80840 (45 CFR 162.406)."""
    from stdnum import luhn

    return bool(luhn.is_valid("80840" + text))


def luxembourg(text: str) -> bool:
    """Matricule nationale: the first 11 digits with a Luhn digit, and with a Verhoeff digit."""
    from stdnum import luhn, verhoeff

    return bool(luhn.is_valid(text[:12]) and verhoeff.is_valid(text[:11] + text[12]))


def pis(text: str) -> bool:
    """PIS/PASEP of Brazil: modulus 11."""
    check = 11 - weighted(text, (3, 2, 9, 8, 7, 6, 5, 4, 3, 2)) % 11
    return int(text[10]) == (check if check < 10 else 0) and len(set(text)) > 2


def snils(text: str) -> bool:
    """SNILS of Russia: the weighted sum, modulus 101."""
    return weighted(text, range(9, 0, -1)) % 101 % 100 == int(text[9:11])


def kazakhstan(text: str) -> bool:
    """IIN of Kazakhstan: modulus 11, with a second row of weights where the first gives 10."""
    check = weighted(text, range(1, 12)) % 11
    if check == 10:
        check = weighted(text, (*range(3, 12), 1, 2)) % 11
    return check == int(text[11])


def taiwan(text: str) -> bool:
    """Identity number of Taiwan: the letter is a number of two digits; the weighted sum is divisible by 10."""
    code = str("ABCDEFGHJKLMNPQRSTUVXYWZIO".index(text[0].upper()) + 10)
    return weighted(code + text[1:], (1, 9, 8, 7, 6, 5, 4, 3, 2, 1, 1)) % 10 == 0


def hong_kong(text: str) -> bool:
    """Identity card of Hong Kong: modulus 11 over one or two letters, six digits and the check character."""
    plain = text.translate({ord("("): None, ord(")"): None}).upper().rjust(9)
    values = [36 if letter == " " else int(letter, 36) for letter in plain]
    return sum(value * weight for value, weight in zip(values, range(9, 0, -1), strict=True)) % 11 == 0


def singapore(text: str) -> bool:
    """NRIC and FIN of Singapore: a letter for the weighted sum, modulus 11."""
    plain = text.upper()
    rest = (weighted(plain[1:8], (2, 7, 6, 5, 4, 3, 2)) + {"T": 4, "G": 4, "M": 3}.get(plain[0], 0)) % 11
    letters = {"S": "JZIHGFEDCBA", "T": "JZIHGFEDCBA", "M": "KLJNPQRTUWX"}.get(plain[0], "XWUTRQPNMLK")
    return letters[rest] == plain[8]


def insured_in_germany(text: str) -> bool:
    """Krankenversichertennummer: the letter as two digits, then Luhn from the left (SGB V, section 290)."""
    digits = f"{ord(text[0].upper()) - 64:02}{text[1:]}"
    return sum(sum(divmod(int(digit) * (1 + at % 2), 10)) for at, digit in enumerate(digits[:-1])) % 10 == int(
        digits[-1]
    )


def pension_in_germany(text: str) -> bool:
    """Rentenversicherungsnummer: the letter as two digits, weights, sums of digits, modulus 10 (VKVV, section 2)."""
    digits = f"{text[:8]}{ord(text[8].upper()) - 64:02}{text[9:]}"
    weights = (2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1)
    total = sum(sum(divmod(int(digit) * weight, 10)) for digit, weight in zip(digits[:-1], weights, strict=True))
    return total % 10 == int(digits[-1])


def document(text: str) -> bool:
    """Number of a document with its check digit, as in machine-readable travel documents (ICAO 9303, part 3)."""
    values = (int(letter, 36) for letter in text[:-1].upper())
    total = sum(value * (7, 3, 1)[at % 3] for at, value in enumerate(values))
    return total % 10 == int(text[-1])


def drug_agency(text: str) -> bool:
    """DEA number of a prescriber: two letters and seven digits."""
    digits = text[2:]
    return (weighted(digits, (1, 0, 1, 0, 1)) + 2 * weighted(digits, (0, 1, 0, 1, 0, 1))) % 10 == int(digits[6])


def medicare_of_australia(text: str) -> bool:
    """Medicare card of Australia: the ninth digit is the check digit."""
    return weighted(text, (1, 3, 7, 9, 1, 3, 7, 9)) % 10 == int(text[8])


def health_of_new_zealand(text: str) -> bool:
    """NHI of New Zealand, old form: modulus 11 over letters without I and O (HISO 10046)."""
    values = ["ABCDEFGHJKLMNPQRSTUVWXYZ".index(letter) + 1 for letter in text[:3].upper()] + [int(d) for d in text[3:6]]
    rest = sum(value * weight for value, weight in zip(values, range(7, 1, -1), strict=True)) % 11
    return rest != 0 and (11 - rest) % 10 == int(text[6])


def health_of_hungary(text: str) -> bool:
    """TAJ of Hungary: weights 3 and 7, modulus 10."""
    return weighted(text, (3, 7) * 4) % 10 == int(text[8]) and len(set(text)) > 1


def tax_of_hungary(text: str) -> bool:
    """Tax number of a person in Hungary: modulus 11."""
    return weighted(text, range(1, 10)) % 11 == int(text[9])


def uruguay(text: str) -> bool:
    """Cédula of Uruguay: weights 2987634, modulus 10."""
    plain = text.rjust(8, "0")
    return weighted(plain, (2, 9, 8, 7, 6, 3, 4)) % 10 == (10 - int(plain[7])) % 10


def clabe(text: str) -> bool:
    """Bank account of Mexico: weights 3, 7 and 1, each product modulus 10."""
    total = sum(int(digit) * (3, 7, 1)[at % 3] % 10 for at, digit in enumerate(text[:17]))
    return (10 - total) % 10 == int(text[17])


def polish_card(text: str) -> bool:
    """Identity card of Poland: three letters and six digits, of which the first is the check digit."""
    values = [int(letter, 36) for letter in text.upper()]
    weights = (7, 3, 1, 9, 7, 3, 1, 7, 3)
    return sum(value * weight for value, weight in zip(values, weights, strict=True)) % 10 == 0


def spanish(text: str) -> bool:
    """DNI and NIE of Spain: the letter is that of the number, modulus 23; X, Y and Z count as 0, 1 and 2."""
    plain = text.upper()
    number = "XYZ".index(plain[0]) if plain[0] in "XYZ" else int(plain[0])
    return "TRWAGMYFPDXBNJZSQVHLCKE"[int(f"{number}{plain[1:8]}") % 23] == plain[8]
