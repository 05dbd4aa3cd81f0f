"""Numbers of registers beside their words, in prose and in the sweep, and numbers that only look like some."""

import random

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from stdnum.br import cpf

from atlas_pipeline.pii.normalise import clean
from atlas_pipeline.pii.registers.cued import PREFILTER, cued_numbers
from atlas_pipeline.pii.sweep import sweep
from atlas_pipeline.pii.text.scanner import scanner

TEXTS = (
    ("Her CPF is 529.982.247-25 today", "529.982.247-25", "NATIONAL_ID"),
    ('{"cnpj": "11.222.333/0001-81", "n": 2}', "11.222.333/0001-81", "TAX_ID"),
    ("codice fiscale RSSMRA85T10A562S allegato", "RSSMRA85T10A562S", "TAX_ID"),
    ("PESEL 44051401359 klienta", "44051401359", "NATIONAL_ID"),
    ("Steuer-ID: 86 095 742 719 fehlt", "86 095 742 719", "TAX_ID"),
    ("numéro de sécurité sociale 255081416802538", "255081416802538", "NATIONAL_ID"),
    ("身份证号码 11010519491231002X", "11010519491231002X", "NATIONAL_ID"),
    ("HKID A123456(3)", "A123456(3)", "NATIONAL_ID"),
    ("rodné číslo 710319/2745", "710319/2745", "NATIONAL_ID"),
    ("CUIT 20-05536168-2.", "20-05536168-2", "TAX_ID"),
    ("IMEI 490154203237518 stolen", "490154203237518", "DEVICE_ID"),
)
ORDINARY = (
    "CPF 529.982.247-24 fails its check",
    "rows 52998224725 and more",
    "run 12345674 failed",
    "Die Steuer 2024 ist fertig",
    "a nip 12 and tuck 34",
    "the PAN of the camera is 120 degrees",
    "ID number 123456782 of the pump",
)


@pytest.mark.parametrize(("text", "number", "kind"), TEXTS)
def test_a_number_beside_its_word(text: str, number: str, kind: str) -> None:
    ((start, end, found),) = cued_numbers(clean(text))
    assert (clean(text)[start:end], found) == (number, kind)
    assert pc.match_substring_regex(pa.array([text]), PREFILTER).to_pylist() == [True]
    assert sweep(pa.array([text, "nothing here"])).get(kind) == 1
    spans = scanner().spans([text])[0]
    assert [text[span.start : span.end] for span in spans] == [number]


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_numbers(text: str) -> None:
    assert list(cued_numbers(text)) == []
    assert sweep(pa.array([text])) == {}


def test_a_whole_column_of_a_register_is_swept_and_random_numbers_are_not() -> None:
    chance = random.Random(3)
    first = chance.randrange(10**10, 9 * 10**10)
    numbers = [number for at in range(first, first + 6_000) if cpf.is_valid(number := str(at))][:30]
    assert sweep(pa.array(numbers)) == {"NATIONAL_ID": 30}
    assert sweep(pa.array(numbers), registers=False) == {}
    for digits in (9, 10, 11, 12, 13):
        random_numbers = [f"{chance.randrange(10 ** (digits - 1), 10**digits)}" for _ in range(60)]
        first = chance.randrange(10 ** (digits - 1), 9 * 10 ** (digits - 1))
        assert sweep(pa.array(random_numbers)) == {}
        assert sweep(pa.array([str(first + at) for at in range(300)])) == {}
