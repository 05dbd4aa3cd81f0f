"""Whole columns of many kinds of value: under a header that tells what they are, under one that does not, of nobody."""

import pytest

from atlas_pipeline.pii.kinds import kind_of
from atlas_pipeline.pii.profile import profile
from atlas_pipeline.pii.registers.known import REGISTERS
from atlas_pipeline.pii.registers.proof import registered
from atlas_pipeline_tests.pii.values import nobody, people, registers
from atlas_pipeline_tests.pii.values.made import Value

pytestmark = pytest.mark.slow

NAMES = ["Anna Schmidt", "Maria Rossi", "John Miller", "Laura Garcia", "Peter Brown"] * 4
PERSONAL = {value.name: value for value in (*people.VALUES, *registers.VALUES)}
UNDER_NOTHING_MISSED = 69
"""Kinds of value that nothing proves without a header, such as a religion or a birth date."""


def protected(header: str, value: Value, **beside: list[str]) -> bool:
    """Whether the column is planned as personal."""
    found = profile({header: value.column(), **beside})[0]
    return found.column_class != "clean" and (found.entity is None or kind_of(found.entity).personal)


@pytest.mark.parametrize("value", PERSONAL.values(), ids=PERSONAL)
def test_a_header_that_tells_protects_the_column(value: Value) -> None:
    assert protected(value.header, value, full_name=NAMES)


@pytest.mark.parametrize("value", [v for v in PERSONAL.values() if v.proven], ids=lambda value: value.name)
def test_what_its_form_or_check_digit_proves_is_found_without_a_header(value: Value) -> None:
    assert protected("col1", value)


def test_few_kinds_are_missed_without_a_header() -> None:
    missed = [value.name for value in PERSONAL.values() if not protected("col1", value)]
    assert len(missed) <= UNDER_NOTHING_MISSED, missed


@pytest.mark.parametrize("value", nobody.VALUES, ids=lambda value: value.name)
@pytest.mark.parametrize("telling", [True, False])
def test_data_of_nobody_stays(value: Value, telling: bool) -> None:
    assert not protected(value.header if telling else "col1", value)


def test_there_are_as_many_kinds_as_the_documentation_says() -> None:
    assert len(PERSONAL) >= 141
    assert len(nobody.VALUES) >= 58
    assert set(registers.HEADERS) == {register.name for register in REGISTERS}


@pytest.mark.parametrize("register", REGISTERS, ids=lambda register: register.name)
def test_a_check_digit_needs_many_values(register: registers.Register) -> None:
    """One value that passes proves nothing where one random number in a hundred does."""
    value = next(value for value in registers.VALUES if value.name.startswith(register.name))
    if register.chance < 100 and not register.only_written:
        assert registered([str(cell) for cell in value.column(1)]) == {}


@pytest.mark.parametrize(
    ("header", "values"),
    [
        ("medication", ["metformin", "sertraline", "ramipril"]),
        ("balance", [12.5, 99.1, 20.0]),
        ("salary", [50_000, 60_000, 70_000]),
        ("last_seen", ["2024-01-01T10:00:00", "2024-01-02T11:00:00"]),
    ],
)
def test_money_and_trails_are_protected_in_a_table_of_persons_alone(header: str, values: list[object]) -> None:
    things = {"sku": ["A-1", "A-2", "A-3"], "price": [1.5, 2.5, 3.5]}
    of_nobody = profile({header: values, **things})[0]
    of_patients = profile({header: values, "patient_id": [17, 18, 19], **things})[0]
    assert of_nobody.column_class == "clean"
    assert of_patients.column_class == "uncertain"


@pytest.mark.parametrize("header", ["avg_salary", "salary_currency", "opening_balance", "median_income", "icd_count"])
def test_statistics_and_books_are_nobodys(header: str) -> None:
    assert profile({header: [1, 2, 3], "email": ["a@example.org", "b@example.org", "c@example.org"]})[0].entity is None
