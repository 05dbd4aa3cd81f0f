"""profile, plan and apply together: what holds for a table that goes through all three, promise by promise."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import SecretStr

from atlas_pipeline.pii.apply import apply
from atlas_pipeline.pii.keys import load_keys
from atlas_pipeline.pii.plan import ColumnPlan, Declaration, Policy, plan_all
from atlas_pipeline.pii.profile import profile
from atlas_pipeline.pii.rules import Rules
from atlas_pipeline.settings import Settings

KEYS = load_keys(Settings(pii_hash_key=SecretStr("k" * 32), pii_encrypt_key=SecretStr("e" * 32)))
EMAILS = [f"anna.kowalska{n}@mail.example" for n in range(40)]
NOTE = "the parcel came late and the box was open, please send a new one soon"


def planned(frame: pd.DataFrame, policy: Policy | None = None) -> dict[str, ColumnPlan]:
    rules = policy.rules if policy else Rules()
    profiles = profile({str(name): frame.iloc[:, at] for at, name in enumerate(frame.columns)}, rules)
    return {one.name: one for one in plan_all(profiles, policy)}


def masked(frame: pd.DataFrame, policy: Policy | None = None) -> pd.DataFrame:
    rules = policy.rules if policy else Rules()
    return apply(frame, list(planned(frame, policy).values()), KEYS, rules)


def kinds(columns: Mapping[str, Sequence[Any]]) -> dict[str, str | None]:
    """The kind of each column that is found to be of one, `free_text`, or None."""
    found = planned(pd.DataFrame(columns))
    return {name: one.entity if one.column_class == "typed" else _loose(one) for name, one in found.items()}


def _loose(one: ColumnPlan) -> str | None:
    return None if one.column_class == "clean" else one.column_class


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA, pd.NaT], ids=["none", "nan", "na", "nat"])
def test_missing_values_stay_missing_and_do_not_vote(missing: object) -> None:
    frame = pd.DataFrame({"email": [*EMAILS[:6], *[missing] * 200], "note": [*["fine"] * 6, *[missing] * 200]})
    plans = planned(frame)
    assert plans["email"].entity == "EMAIL_ADDRESS"
    assert plans["email"].confidence > 0.9
    assert plans["email"].evidence["missing"] == 200
    after = masked(frame)
    assert after["email"].isna().tolist() == frame["email"].isna().tolist()
    assert after["note"].isna().tolist() == frame["note"].isna().tolist()


def test_nan_under_hash_is_no_value() -> None:
    frame = pd.DataFrame({"customer_phone": [4155552671.0, float("nan"), 4155552672.0, float("nan")]})
    policy = Policy(columns={"customer_phone": Declaration("PHONE_NUMBER", "hash")})
    after = masked(frame, policy)["customer_phone"]
    assert after.isna().tolist() == [False, True, False, True]
    assert [len(value) for value in after.dropna()] == [64, 64]


def test_duplicate_index_masks_each_row_for_itself() -> None:
    frame = pd.DataFrame({"email": EMAILS[:4], "n": range(4)}, index=[7, 7, 7, 1])
    after = masked(frame)
    assert after.index.tolist() == [7, 7, 7, 1]
    assert after["email"].nunique() == 4
    assert after["n"].tolist() == [0, 1, 2, 3]


def test_the_input_frame_is_untouched() -> None:
    frame = pd.DataFrame(
        {"email": EMAILS, "notes": [f"write to {email} about this parcel, please" for email in EMAILS]}
    )
    before = frame.copy(deep=True)
    after = masked(frame)
    pd.testing.assert_frame_equal(frame, before)
    assert not after.equals(before)


def test_one_email_in_500_notes_masks_the_span_and_does_not_retype_the_column() -> None:
    frame = pd.DataFrame({"notes": [NOTE] * 250 + [f"{NOTE}, write to {EMAILS[0]} today"] + [NOTE] * 249})
    assert planned(frame)["notes"].column_class == "free_text"
    after = masked(frame)["notes"]
    assert after.value_counts().to_dict() == {NOTE: 499, f"{NOTE}, write to <EMAIL_ADDRESS> today": 1}


def test_one_email_among_codes_masks_the_span_too() -> None:
    frame = pd.DataFrame({"code": [f"A-{n}" for n in range(400)] + [f"A-7 ({EMAILS[0]})"]})
    after = masked(frame)["code"]
    assert after.tolist()[:400] == frame["code"].tolist()[:400]
    assert after.iloc[400] == "A-7 (<EMAIL_ADDRESS>)"


def test_dotted_emails_are_not_urls() -> None:
    assert kinds({"contact": [f"first.last{n}@sub.mail.co.uk" for n in range(9)]}) == {"contact": "EMAIL_ADDRESS"}
    assert "<URL>" not in masked(pd.DataFrame({"notes": [f"{NOTE}: first.last@sub.mail.co.uk"] * 3}))["notes"].iloc[0]


def test_datetime_columns() -> None:
    days = pd.to_datetime(pd.Series([f"19{70 + n % 30}-0{1 + n % 9}-1{n % 10}" for n in range(40)]))
    frame = pd.DataFrame({"created_at": days, "date_of_birth": days, "updated": days.dt.tz_localize("UTC")})
    frame.loc[3, "date_of_birth"] = pd.NaT
    plans = planned(frame)
    assert (plans["created_at"].action, plans["updated"].action) == ("keep", "keep")
    assert (plans["date_of_birth"].entity, plans["date_of_birth"].action) == ("DATE_OF_BIRTH", "generalise")
    after = masked(frame)
    assert after["created_at"].dtype == frame["created_at"].dtype
    assert after["date_of_birth"].iloc[0] == "1970"
    assert pd.isna(after["date_of_birth"].iloc[3])


def test_ids_years_epochs_uuids_and_order_numbers_are_nobodys() -> None:
    count = range(300)
    columns = {
        "id": [*count],
        "a": [1001 + n for n in count],
        "year": [1950 + n % 70 for n in count],
        "b": [1_700_000_000 + 86_399 * n for n in count],
        "millis": [1_700_000_000_000 + 86_399_123 * n for n in count],
        "uuid": [f"{n:08x}-1111-4222-8333-{n * 7:012x}" for n in count],
        "order_number": [4_155_552_671 + 13 * n for n in count],
        "order_no": [f"ORD-2024-{n:06}" for n in count],
        "sku": [f"{943_476_591_0 + n}" for n in count],
        "price": [f"{n}.99" for n in count],
        "version": [f"1.{n % 20}.{n % 7}.{n % 3}" for n in count],
        "c": [f"{10**15 + 7_919 * n}" for n in count],
    }
    assert kinds(columns) == dict.fromkeys(columns)


def test_hashes_are_equal_across_runs_and_tables() -> None:
    one = masked(pd.DataFrame({"email": EMAILS}))
    other = masked(pd.DataFrame({"id": range(40), "contact_email": [email.upper() for email in reversed(EMAILS)]}))
    assert one["email"].tolist() == other["contact_email"].tolist()[::-1]
    assert one["email"].nunique() == 40


def test_zero_width_and_full_width_characters() -> None:
    hidden = [email.replace("@", "\u200b@\u200b").replace("mail", "ｍａｉｌ") for email in EMAILS]
    assert kinds({"x": hidden}) == {"x": "EMAIL_ADDRESS"}
    assert (
        masked(pd.DataFrame({"email": hidden}))["email"].tolist()
        == masked(pd.DataFrame({"email": EMAILS}))["email"].tolist()
    )
    text = masked(
        pd.DataFrame({"notes": [f"{NOTE}, anna\u200b.k＠mail.example or ４１１１ １１１１ １１１１ １１１１"] * 3})
    )["notes"].iloc[0]
    assert "<EMAIL_ADDRESS>" in text
    assert "<CREDIT_CARD>" in text


def test_addresses_of_an_intranet() -> None:
    users = [f"user{n}@intranet.local" for n in range(20)]
    assert kinds({"login_mail": users}) == {"login_mail": "EMAIL_ADDRESS"}
    after = masked(pd.DataFrame({"notes": [f"{NOTE}, ask {user}" for user in users]}))
    assert after["notes"].unique().tolist() == [f"{NOTE}, ask <EMAIL_ADDRESS>"]


@pytest.mark.slow
def test_offline(tmp_path: Path) -> None:
    """In a process that has loaded nothing yet, and that fails when anything asks for an address or a connection."""
    program = """if True:
        import socket, sys

        def refused(*arguments, **options):
            print("a connection was tried", file=sys.stderr)
            sys.exit(3)

        socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refused
        import pandas as pd
        from atlas_pipeline.pii.apply import apply
        from atlas_pipeline.pii.plan import plan_all
        from atlas_pipeline.pii.profile import profile

        notes = [f"Anna Kowalska of Example Street {n} wrote by anna{n}@mail.co.uk, born 3 May 80" for n in range(9)]
        frame = pd.DataFrame({"email": [f"a{n}@mail.co.uk" for n in range(9)], "notes": notes})
        print(apply(frame, plan_all(profile(frame)))["notes"].str.contains("<EMAIL_ADDRESS>").all())
    """
    environment = {"ATLAS_HOME": str(tmp_path), "HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment, cwd=tmp_path
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "True", "")


@pytest.mark.parametrize(
    "names",
    [
        ["JOHN SMITH", "MARY JOHNSON", "ROBERT BROWN", "LINDA DAVIS", "JAMES MILLER", "SUSAN WILSON"],
        ["Smith, John", "Johnson, Mary", "Brown, Robert", "Davis, Linda", "Miller, James", "Wilson, Susan"],
        ["SMITH, JOHN", "JOHNSON, MARY A.", "BROWN, ROBERT", "DAVIS, LINDA", "MILLER, JAMES", "WILSON, SUSAN"],
    ],
    ids=["uppercase", "last_first", "uppercase_last_first"],
)
def test_names_in_other_forms(names: list[str]) -> None:
    assert kinds({"holder": names}) == {"holder": "PERSON"}
    assert kinds({"col7": names}) == {"col7": "PERSON"}


def test_misleading_headers() -> None:
    columns = {
        "file_name": [f"scan_{n}.pdf" for n in range(60)],
        "public_id": [f"{n:06}" for n in range(60)],
        "driver": [f"nvidia-{500 + n}.0" for n in range(60)],
        "product_name": [f"Desk Lamp {n}" for n in range(60)],
        "host_name": [f"web-{n}" for n in range(60)],
        "email_sent": ["true", "false"] * 30,
        "phone_model": ["iPhone 12", "Pixel 6", "Galaxy S21"] * 20,
        "card_type": ["visa", "amex"] * 30,
        "ip_count": [str(n) for n in range(60)],
        "address_type": ["home", "work"] * 30,
        "name_length": [str(n % 20) for n in range(60)],
    }
    assert kinds(columns) == dict.fromkeys(columns)


def test_cards_and_phones_mangled_to_floats_and_lost_leading_zeros() -> None:
    cards = [4111111111111111, 5500005555555559, 4012888888881881, 4222222222222220]
    phones = [4155552671.0 + 1_111 * n for n in range(20)]
    frame = pd.DataFrame({"card_number": pd.array([float(card) for card in cards] * 5), "phone": phones})
    plans = planned(frame)
    assert (plans["card_number"].entity, plans["phone"].entity) == ("CREDIT_CARD", "PHONE_NUMBER")
    after = masked(frame)
    assert after["card_number"].iloc[0] == "************1111"
    assert after["phone"].iloc[0] == "******2671"
    text = pd.DataFrame(
        {"card": [f"{card:.15e}" for card in cards], "mobile": [f"{8801819404601 + n}.0" for n in range(4)]}
    )
    plans = planned(text)
    assert (plans["card"].entity, plans["mobile"].entity) == ("CREDIT_CARD", "PHONE_NUMBER")
    zips = pd.DataFrame({"zip": [501, 2139, 10001, 94107, 1002, 60601], "phone": [711284222 + n for n in range(6)]})
    plans = planned(zips)
    assert (plans["zip"].entity, plans["phone"].entity) == ("ZIPCODE", "PHONE_NUMBER")


def test_personal_data_inside_json_cells_and_urls() -> None:
    frame = pd.DataFrame(
        {
            "payload": [f'{{"id": {n}, "who": "{email}", "ok": true}}' for n, email in enumerate(EMAILS)],
            "page": [f"https://shop.example/reset?email={email.replace('@', '%40')}&n=1" for email in EMAILS],
        }
    )
    assert {one.column_class for one in planned(frame).values()} == {"free_text"}
    after = masked(frame)
    assert after["payload"].iloc[0] == '{"id": 0, "who": "<EMAIL_ADDRESS>", "ok": true}'
    assert after["page"].iloc[0] == "https://shop.example/reset?email=<EMAIL_ADDRESS>&n=1"


def test_empty_and_all_null_columns() -> None:
    frame = pd.DataFrame(
        {"email": [None] * 5, "phone": [""] * 5, "name": [np.nan] * 5, "x": pd.Series([None] * 5, dtype="Int64")}
    )
    assert {(one.column_class, one.action) for one in planned(frame).values()} == {("clean", "keep")}
    pd.testing.assert_frame_equal(masked(frame), frame)
    empty = frame.head(0)
    assert masked(empty).columns.tolist() == empty.columns.tolist()
    assert planned(pd.DataFrame()) == {}


def test_a_second_run_does_not_mask_twice() -> None:
    frame = pd.DataFrame(
        {
            "full_name": [f"Anna Kowalska {n}" for n in range(40)],
            "email": EMAILS,
            "phone": [f"+49 30 55501{n:02}" for n in range(40)],
            "date_of_birth": [f"19{40 + n}-03-12" for n in range(40)],
            "zip": [f"{10_000 + 997 * n}" for n in range(40)],
            "age": [str(20 + n) for n in range(40)],
            "ip": [f"10.1.{n}.7" for n in range(40)],
            "iban": ["DE89370400440532013000", "GB29NWBK60161331926819"] * 20,
            "notes": [f"{NOTE}, call Anna Kowalska on +49 30 55501{n:02} or {email}" for n, email in enumerate(EMAILS)],
        }
    )
    policy = Policy(columns={"iban": Declaration("IBAN_CODE", "encrypt")})
    plans = list(planned(frame, policy).values())
    once = apply(frame, plans, KEYS)
    pd.testing.assert_frame_equal(apply(once, plans, KEYS), once)
    pd.testing.assert_frame_equal(masked(once), once)


def test_digests_without_a_key_are_hashed_and_ones_own_stay() -> None:
    plain = pd.DataFrame({"email": [hashlib.sha256(email.encode()).hexdigest() for email in EMAILS]})
    once = masked(plain)
    assert not {*once["email"]} & {*plain["email"]}
    pd.testing.assert_frame_equal(masked(once), once)


def test_cells_of_5000_characters() -> None:
    long = f"{'word ' * 500}{EMAILS[0]} {'word ' * 490}"
    assert len(long) > 4_900
    after = masked(pd.DataFrame({"notes": [long, "x" * 5_000, "1" * 5_000, "\u0661" * 5_000, NOTE]}))["notes"]
    assert EMAILS[0] not in after.iloc[0]
    assert after.iloc[0].count("word") == 990


def test_a_column_of_a_million_equal_values() -> None:
    frame = pd.DataFrame({"email": pd.Series([EMAILS[0]]).repeat(1_000_000).to_numpy()})
    plan = planned(frame)["email"]
    assert (plan.entity, plan.evidence["rows"], plan.evidence["distinct"]) == ("EMAIL_ADDRESS", 1_000_000, 1)
    assert masked(frame)["email"].nunique() == 1


@pytest.mark.parametrize(
    "names",
    [
        ["Анна Иванова", "Пётр Смирнов", "Мария Кузнецова", "Иван Попов", "Елена Соколова", "Дмитрий Лебедев"],
        ["Γιώργος Παπαδόπουλος", "Μαρία Γεωργίου", "Νίκος Δημητρίου", "Ελένη Νικολάου", "Κώστας Ιωάννου"],
        ["佐藤 太郎", "鈴木 花子", "高橋 健一", "田中 美咲", "伊藤 翔太", "渡辺 陽子"],
    ],
    ids=["cyrillic", "greek", "japanese"],
)
def test_non_latin_scripts(names: list[str]) -> None:
    assert kinds({"full_name": names}) == {"full_name": "PERSON"}
    assert masked(pd.DataFrame({"full_name": names}))["full_name"].unique().tolist() == ["<PERSON>"]
    told = pd.DataFrame({"notes": [f"{NOTE}: пишите на иван{n}@почта.example" for n in range(3)]})
    assert not masked(told)["notes"].str.contains("почта").any()


def test_allow_and_deny_lists() -> None:
    rules = Rules(allow=frozenset({"help@shop.example"}), deny=frozenset({"Project Nightjar"}))
    frame = pd.DataFrame(
        {
            "reply_to": ["help@shop.example"] * 5,
            "notes": [
                f"{NOTE}; help@shop.example knows of {word} nightjar" for word in ("PROJECT", "project", "a", "b", "c")
            ],
        }
    )
    after = masked(frame, Policy(rules=rules))
    assert after["reply_to"].tolist() == frame["reply_to"].tolist()
    assert after["notes"].str.contains("help@shop.example").all()
    assert not after["notes"].str.contains("(?i)project nightjar").any()
    assert after["notes"].iloc[2] == frame["notes"].iloc[2]


def test_recognisers_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "recognizers.yaml"
    path.write_text(
        "recognizers:\n  - name: Loyalty card\n    supported_entity: LOYALTY_CARD\n    supported_language: en\n"
        "    patterns:\n      - {name: loyalty card, regex: 'LC-\\d{8}', score: 0.9}\n"
    )
    policy = Policy(actions={"LOYALTY_CARD": "hash"}, rules=Rules(recognizers=path))
    frame = pd.DataFrame({"ref": [f"LC-{n:08}" for n in range(9)], "notes": [f"{NOTE}, LC-{n:08}" for n in range(9)]})
    plans = planned(frame, policy)
    assert (plans["ref"].entity, plans["ref"].action) == ("LOYALTY_CARD", "hash")
    assert masked(frame, policy)["notes"].unique().tolist() == [f"{NOTE}, <LOYALTY_CARD>"]
