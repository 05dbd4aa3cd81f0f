"""What is cut out of texts, and what is not."""

import pytest
from pydantic import SecretStr

from atlas_pipeline.settings import Settings
from atlas_pipeline.telemetry.scrub import Scrubber, secrets_of
from atlas_pipeline_tests.telemetry.canaries import CANARIES, IN_CONTEXT, ORDINARY

SCRUBBER = Scrubber()


@pytest.mark.parametrize(
    "template", ["{}", "row {} of it", "({})", "value='{}',", "x={};", "\t{}\n", "<{}>", "über {} é"]
)
@pytest.mark.parametrize("canary", CANARIES)
def test_what_is_secret_or_personal_by_its_form(canary: str, template: str) -> None:
    label = CANARIES[canary]
    assert SCRUBBER.text(template.format(canary)) == template.format(f"[{label}]")


@pytest.mark.parametrize("template", IN_CONTEXT)
def test_what_is_secret_by_its_context(template: str) -> None:
    cut = SCRUBBER.text(template.format(IN_CONTEXT[template]))
    assert IN_CONTEXT[template] not in cut
    assert "[secret]" in cut


@pytest.mark.parametrize("text", ORDINARY)
def test_what_is_ordinary_stays(text: str) -> None:
    assert SCRUBBER.text(text) == text


def test_scrubbing_again_changes_nothing() -> None:
    texts = [*CANARIES, *(template.format(secret) for template, secret in IN_CONTEXT.items())]
    once = [SCRUBBER.text(text) for text in texts]
    assert [SCRUBBER.text(text) for text in once] == once


def test_several_in_one_text() -> None:
    cut = SCRUBBER.text("\n".join(CANARIES))
    assert cut.split("\n") == [f"[{label}]" for label in CANARIES.values()]


def test_values_of_secret_settings_are_known_whatever_they_look_like() -> None:
    settings = Settings(
        database_url=SecretStr("postgresql://atlas:quiet%20meadow@db:5432/atlas"),
        pii_hash_key=SecretStr("green umbrella stand"),
        pii_old_encrypt_keys=SecretStr("oldkeynumberone,oldkeynumbertwo"),
        alert_channels=SecretStr("ops=slack://TokenAlpha/TokenBeta/TokenGamma me=mailtos://u:mailsecretpw@mx.example"),
        sentry_dsn=SecretStr("https://publickeyofdsn@sentry.example/4"),
    )
    scrubber = Scrubber(secrets_of(settings))
    secrets = ["quiet meadow", "quiet%20meadow", "green umbrella stand", "oldkeynumbertwo", "oldkeynumberone"]
    secrets += ["slack://TokenAlpha/TokenBeta/TokenGamma", "mailsecretpw", "publickeyofdsn"]
    for secret in secrets:
        assert scrubber.text(f"it said {secret} aloud") == "it said [secret] aloud"
    assert scrubber.text("the green stand of atlas at db:5432") == "the green stand of atlas at db:5432"


def test_values_of_any_shape() -> None:
    class Row:
        def __repr__(self) -> str:
            raise AssertionError("a value's own words are not asked for")

    value = {
        "mail": ["x anna@example.com", ("anna@example.com", {"anna@example.com": 1})],
        "card": 4111111111111111,
        "password": "short",
        "rows": 17,
        "share": 0.5,
        "none": None,
        "yes": True,
        "row": Row(),
    }
    assert SCRUBBER.value(value) == {
        "mail": ["x [email]", ["[email]", {"[email]": 1}]],
        "card": "[card]",
        "password": "[secret]",
        "rows": 17,
        "share": 0.5,
        "none": None,
        "yes": True,
        "row": f"<{Row.__qualname__}>",
    }


@pytest.mark.parametrize(
    "unit",
    [
        "a",
        "1 ",
        "((((",
        "a.b",
        "password",
        "A1",
        "://x:",
        "a://x:",
        "eyJ",
        "+1",
        "ab12",
        "@a.",
        "token=",
        "-----BEGIN A",
    ],
)
def test_a_long_text_takes_no_longer_than_its_length(unit: str) -> None:
    """A megabyte comes back at once; where the work grew with the square of the length, it would take hours."""
    assert SCRUBBER.text(f"{unit * (1_000_000 // len(unit))} anna@example.com").endswith("[email]")
