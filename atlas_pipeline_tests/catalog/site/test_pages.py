"""What the pages of the catalogue say, that all of it is quoted, and that each link leads somewhere."""

import json
import re
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import escape

from atlas_pipeline.catalog.site.addresses import anchor_of, file_of
from atlas_pipeline.catalog.site.building import build_site
from atlas_pipeline.catalog.site.declared import Check, Column, Table
from atlas_pipeline.catalog.site.pages import Site, check_rows, search_entries, table_page
from atlas_pipeline.catalog.site.recorded import Recorded, may_be_a_value
from atlas_pipeline.catalog.site.sparklines import number_line, outcome_bars
from atlas_pipeline.catalog.site.sql_text import highlighted
from atlas_pipeline.pii.plan import ColumnPlan
from atlas_pipeline.quality.history import RecordedOutcome, TableScores
from atlas_pipeline.quality.score import DimensionScore
from atlas_pipeline_tests.catalog.site.sites import AT, Page, pages_of, silver, site_of

HOSTILE = """</script></title></style>"'><img src=x onerror=alert(1)><svg onload=alert(1)>{{7*7}}&amp;\u2028 ]]>"""
MODEL = "-- of <orders>\nSELECT a.id, 'it''s <b>' AS t\nFROM silver.orders AS a\nWHERE a.id > 10"


def outcome(path: str, status: str, days: int = 0, **fields: object) -> RecordedOutcome:
    """What came of a check of silver.orders, so many days ago."""
    given = {"measured": 3.0, "threshold": "= 0", "rows_tested": 50, "rows_failed": 3, "problem": None, **fields}
    at = AT - timedelta(days=days)
    return RecordedOutcome(
        "silver",
        "orders",
        f"run{days}",
        at,
        path,
        "title",
        "validity",
        "error",
        status,
        **given,  # type: ignore[arg-type]
    )


def orders() -> dict[str, Table]:
    """Two tables and a model of them."""
    checks = [
        Check("id_missing", "Missing values of id", "columns.id.checks.missing", "completeness", True),
        Check("text_long", "Long texts", "columns.text.checks.aggregate.max", "accuracy", False),
        Check("leak_check", "No leak", None, "", True),
    ]
    return {
        "silver.orders": silver("orders", checks=checks, recipients=["the courier"]),
        "silver.people": silver("people", description=None, owners=[]),
        "gold.totals": Table(
            "gold.totals",
            "gold",
            "totals",
            "Totals.",
            reads=["silver.orders", "silver.people"],
            columns=[
                Column("number", sources=[("silver.orders", "id"), ("silver.people", "id")]),
                Column("word", sources=[("silver.orders", "text")]),
            ],
            sql=MODEL,
        ),
    }


def measured() -> dict[str, Recorded]:
    """What was measured of them: one check fails, texts are names that are kept."""
    scores = [
        TableScores("silver", "orders", f"run{n}", AT, True, (DimensionScore("overall", 0.9, 3, 1),)) for n in range(3)
    ]
    return {
        "silver.orders": Recorded(
            rows=50,
            published_at=AT,
            row_counts=[10, 40, 50],
            plans={"text": ColumnPlan("text", "typed", "PERSON", 1.0, {}, "keep")},
            outcomes={
                "columns.id.checks.missing": [
                    outcome("columns.id.checks.missing", "passed", 1),
                    outcome("columns.id.checks.missing", "failed"),
                ],
                "columns.text.checks.aggregate.max": [
                    outcome("columns.text.checks.aggregate.max", "passed", measured=987654.0)
                ],
            },
            scores=scores,
            readers=[("atlas_analyst", "granted"), ("boss", "superuser")],
            views=[("own.view", "anna")],
        ),
        "gold.totals": Recorded(rows=2, published_at=AT),
    }


@pytest.fixture
def site() -> Site:
    return site_of(orders(), measured())


def test_a_table_says_how_it_is_and_who_reads_it(site: Site, tmp_path: Path) -> None:
    build_site(site, tmp_path / "site")
    text = (tmp_path / "site" / "silver.orders.html").read_text()
    for shown in ("1 check fails", "PERSON", "keep", "atlas_analyst", "own.view", "the courier", "gold.totals"):
        assert shown in text
    assert "Last 2 outcomes: 1 passed, 1 failed" in text
    assert "Rows of each publication: 10 first, 50 now" in text


def test_what_fails_comes_first_and_a_maximum_is_not_shown(site: Site) -> None:
    rows = check_rows(site.tables["silver.orders"], site.of("silver.orders"))
    assert [(row["name"], row["status"], row["measured"]) for row in rows] == [
        ("id_missing", "failed", 3.0),
        ("text_long", "passed", None),
        ("leak_check", "passed", None),
    ]


@pytest.mark.parametrize(
    ("path", "may_be"),
    [
        ("columns.a.checks.aggregate", True),
        ("columns.a.checks.aggregate.max", True),
        ("checks.metric.all_orders", True),
        ("columns.a.checks.missing", False),
        ("columns.metric.checks.missing", False),
        ("checks.row_count", False),
        ("rows_fit", False),
    ],
)
def test_which_measured_numbers_may_be_values(path: str, may_be: bool) -> None:
    assert may_be_a_value(path) is may_be


def test_states(site: Site) -> None:
    assert site.states == {
        "silver.orders": ("failed", "1 check fails"),
        "silver.people": ("unknown", "not built yet"),
        "gold.totals": ("unknown", "no check was measured"),
    }
    assert site_of(orders()).states["silver.orders"] == ("unknown", "not measured")
    wrong = {"silver.orders": silver("orders", invalid="defs.yaml:3: no")}
    assert site_of(wrong, {}).states["silver.orders"] == ("failed", "declaration is wrong")


def test_a_refused_build_is_said() -> None:
    recorded = measured()
    recorded["silver.orders"].scores.append(
        TableScores("silver", "orders", "run9", AT, False, (DimensionScore("overall", 0.1, 3, 2),))
    )
    assert site_of(orders(), recorded).states["silver.orders"] == ("failed", "last build was not published")


def test_every_link_leads_somewhere(site: Site, tmp_path: Path) -> None:
    build_site(site, tmp_path / "site")
    pages = pages_of(tmp_path / "site")
    followed = set()
    for name, page in pages.items():
        assert len(page.ids) == len(set(page.ids)), name
        for link in page.links():
            if not link.startswith("http://127.0.0.1:3000/") and link != "http://127.0.0.1:3000":
                file, _, anchor = link.partition("#")
                to = pages[unquote(file) or name]
                assert not anchor or anchor in to.ids, f"{name}: {link}"
                followed.add(link)
    assert {"gold.totals.html", "silver.orders.html#c-id", "lineage.html"} <= followed


def test_lineage_is_drawn_from_columns_to_columns(site: Site) -> None:
    drawn = str(table_page(site, "silver.orders")["column_graph"])
    lines = set(re.findall(r'data-from="([^"]+)" data-to="([^"]+)"', drawn))
    assert lines == {("silver.orders:id", "gold.totals:number"), ("silver.orders:text", "gold.totals:word")}


def test_a_table_in_a_long_chain_shows_what_is_near() -> None:
    chain = {
        f"gold.m{n:03}": Table(f"gold.m{n:03}", "gold", f"m{n:03}", reads=[f"gold.m{n - 1:03}"] if n else [])
        for n in range(200)
    }
    page = table_page(site_of(chain, {}), "gold.m100")
    assert page["graph_left_out"] == 160
    assert "m081" in page["graph"]
    assert "m079" not in page["graph"]


def hostile() -> Site:
    """Every text that a declaration or the database gives is an attack."""
    key = f"silver.{HOSTILE}"
    column = Column(HOSTILE, HOSTILE, HOSTILE, {HOSTILE: HOSTILE}, [("silver.orders", HOSTILE)])
    one = Table(
        *(key, "silver", HOSTILE, HOSTILE, [HOSTILE], {HOSTILE: HOSTILE}, ["silver.orders", HOSTILE], [column]),
        [Check(HOSTILE, HOSTILE, f"columns.{HOSTILE}.checks.missing", HOSTILE, True)],
        {HOSTILE: HOSTILE},
        [HOSTILE],
        f"SELECT '{HOSTILE}' -- {HOSTILE}\nFROM silver.orders",
    )
    wrong = Table("gold.wrong", "gold", "wrong", invalid=HOSTILE)
    recorded = measured() | {
        key: Recorded(
            rows=1,
            published_at=AT,
            plans={HOSTILE: ColumnPlan(HOSTILE, "typed", "PERSON", 1.0, {}, "drop")},
            outcomes={
                f"columns.{HOSTILE}.checks.missing": [
                    outcome(f"columns.{HOSTILE}.checks.missing", "failed", threshold=HOSTILE, problem=HOSTILE)
                ]
            },
            readers=[(HOSTILE, HOSTILE)],
            views=[(HOSTILE, HOSTILE)],
        )
    }
    return site_of(orders() | {key: one, "gold.wrong": wrong}, recorded)


def test_nothing_that_is_declared_becomes_an_element(tmp_path: Path) -> None:
    attacked = build_site(hostile(), tmp_path / "attacked").folder
    for name, page in pages_of(attacked).items():
        assert sum(element == "script" for element, _ in page.elements) == 1, name
        assert not [element for element, _ in page.elements if element in ("img", "iframe", "object")], name
        assert not [a for _, attributes in page.elements for a in attributes if a.startswith("on")], name
    script = (attacked / "search.js").read_text()
    assert script.isascii()
    assert "\n" not in script.rstrip()
    entries = json.loads(script.removeprefix("window.catalogueEntries=").rstrip().removesuffix(";"))
    assert [entry[1] for entry in entries] == list(hostile().tables)


def test_pages_load_nothing_and_run_one_script(site: Site, tmp_path: Path) -> None:
    build_site(site, tmp_path / "site")
    for name, page in pages_of(tmp_path / "site").items():
        loaded = [a for _, a in page.elements if "src" in a or a.get("rel") in ("stylesheet", "preload", "icon")]
        assert not loaded, name
        (policy,) = [a["content"] for _, a in page.elements if a.get("http-equiv") == "Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'sha256-" in policy


def test_pages_can_be_read_without_seeing_them(site: Site, tmp_path: Path) -> None:
    """One heading of the first level, none left out, names for what has no text, headings of columns."""
    build_site(site, tmp_path / "site")
    for name, page in pages_of(tmp_path / "site").items():
        levels = [int(element[1]) for element, _ in page.elements if re.fullmatch("h[1-6]", element)]
        assert levels[0] == 1, name
        assert levels.count(1) == 1, name
        assert all(later - earlier <= 1 for earlier, later in pairwise(levels)), (name, levels)
        for element, attributes in page.elements:
            if element in ("nav", "aside", "dialog", "input") or (element == "svg" and "aria-hidden" not in attributes):
                assert attributes.get("aria-label"), (name, element, attributes)
            if element == "th":
                assert attributes.get("scope"), name
            for reference in ("aria-labelledby", "aria-controls"):
                assert attributes.get(reference, page.ids[0]) in page.ids, (name, attributes)


def test_search_knows_tables_columns_and_kinds(site: Site) -> None:
    assert search_entries(site)[0] == [
        "silver.orders.html",
        "silver.orders",
        "silver",
        "Rows of orders. team:data",
        [["id", "", "", ""], ["text", "", "PERSON", "What was said."]],
    ]


@given(st.lists(st.text(min_size=1, max_size=200), min_size=2, max_size=8, unique=True))
def test_each_table_has_a_file_of_its_own_on_any_file_system(keys: list[str]) -> None:
    files = [file_of(key).lower() for key in keys]
    assert len(set(files)) == len(files)
    for name in files:
        assert re.fullmatch(r"[a-z0-9_~.-]{1,200}", name)
        assert not name.startswith(".")
    assert not {"index.html", "lineage.html", "personal-data.html"} & {file_of(key) for key in keys}
    assert file_of("index") != "index.html"
    assert len({anchor_of(key) for key in keys}) == len(keys)


@given(st.text())
def test_sql_is_shown_character_for_character(sql: str) -> None:
    shown = highlighted(sql, {"silver.orders"})
    assert re.sub(r"</?(?:span|a)\b[^>]*>", "", str(shown)) == str(escape(sql))


def test_sql_links_to_the_tables_that_it_reads() -> None:
    shown = str(highlighted(MODEL, {"silver.orders"}))
    assert '<a href="silver.orders.html">silver.orders</a>' in shown
    assert '<span class="comment">-- of &lt;orders&gt;</span>' in shown
    assert '<span class="text">&#39;it&#39;&#39;s &lt;b&gt;&#39;</span>' in shown


def test_lines_and_bars() -> None:
    assert not outcome_bars([])
    assert not number_line([4], "Rows")
    assert 'points="3.0,9.0 117.0,9.0"' in str(number_line([4, 4], "Rows"))
    bars = Page(str(outcome_bars(["passed", "not evaluated"])))
    assert [attributes["class"] for name, attributes in bars.elements if name == "rect"] == ["passed", "not-evaluated"]
