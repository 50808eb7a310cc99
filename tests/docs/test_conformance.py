"""The conformance statement says what the code does. WRITE_DOCS=1 writes the tables of docs/conformance.md anew."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from hexdicom import errors
from hexdicom_services import statuses
from hexdicom_services.scp import commitment
from hexdicom_services.settings import Settings
from tests.docs import conformance_network, conformance_objects

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "conformance.md"
WRITE = "WRITE_DOCS" in os.environ
SERVICES = ROOT / "services" / "hexdicom_services"
TABLES = conformance_network.TABLES | conformance_objects.TABLES
BLOCK = re.compile(r"<!-- generated: (.+?) -->\n(.*?)<!-- end -->", re.DOTALL)
ELSEWHERE = {  # what is answered by pynetdicom, or as the status of an error
    statuses.Find: {"SUCCESS", "OUT_OF_RESOURCES", "IDENTIFIER"},
    statuses.Retrieve: {"SUCCESS", "SOME_FAILED", "ALL_FAILED", "UNKNOWN_DESTINATION"}
    | {"UNREADABLE_GET", "UNREADABLE_MOVE", "TOO_MANY_GET", "TOO_MANY_MOVE"},
}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page, written anew where that is asked for."""
    text = PAGE.read_text("utf-8")
    if WRITE:
        made = {name: make(tmp_path_factory.mktemp("table")) for name, make in TABLES.items()}
        text = BLOCK.sub(lambda found: f"<!-- generated: {found[1]} -->\n\n{made[found[1]]}\n\n<!-- end -->", text)
        PAGE.write_text(text, "utf-8")
    return text


@pytest.mark.parametrize("name", TABLES)
def test_tables_are_what_the_code_says(name: str, page: str, tmp_path: Path) -> None:
    found = dict(BLOCK.findall(page))
    assert name in found, f"docs/conformance.md has no table {name!r}"
    assert found[name].strip() == TABLES[name](tmp_path), "docs/conformance.md is out of date; write it anew with WRITE_DOCS=1"


def test_every_table_is_there_once_and_no_other(page: str) -> None:
    names = [name for name, _ in BLOCK.findall(page)]
    assert sorted(names) == sorted(TABLES)


def test_every_kind_of_status_has_a_table(page: str) -> None:
    shown = {kind for kind in statuses.Status.__subclasses__() if any(one.when in page for one in kind)}
    assert shown == set(statuses.Status.__subclasses__())
    assert len([name for name in TABLES if name.startswith(("status of", "failure"))]) == len(shown)


def test_every_status_is_answered_somewhere() -> None:
    code = "".join(path.read_text("utf-8") for path in SERVICES.rglob("*.py") if path.name != "statuses.py")
    code = code.replace("Answer.", "Report.")  # scu/commitment.py has a Report of its own
    for kind in statuses.Status.__subclasses__():
        unused = {one.name for one in kind if f"{kind.__name__}.{one.name}" not in code}
        assert unused <= ELSEWHERE.get(kind, set()), kind.__name__


def test_errors_have_a_status_that_is_documented() -> None:
    """Handlers of C-STORE and C-FIND answer the status of an error as it is."""
    kinds = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.HexdicomError)]
    assert {one.dimse_status for one in kinds} <= set(statuses.Find)
    assert {errors.StoreError.dimse_status, errors.HexdicomError.dimse_status} <= set(statuses.Store)


def test_handlers_have_no_statuses_of_their_own() -> None:
    number = re.compile(r"\b0x(?:01[0-3]\d|0[24]\d\d|A[79]\d\d|B000|C\d\d\d|FE00|FF00)\b")
    for path in sorted((SERVICES / "scp").glob("*.py")):
        lines = re.sub(r'""".*?"""|#.*', "", path.read_text("utf-8"), flags=re.DOTALL).splitlines()
        own = [line for line in lines if number.search(line) and not line.startswith("_FINAL = ")]
        assert not own, f"{path.name}: {own}"


def test_numbers_in_sentences() -> None:
    assert f"{commitment._MOST:,}".replace(",", " ") in statuses.Commit.TOO_MUCH.when


def test_settings_in_sentences_exist(page: str) -> None:
    prose = BLOCK.sub("", page)
    known = {
        f"{name}.{key}" for name, entry in Settings.model_fields.items() for key in getattr(entry.annotation, "model_fields", ())
    }
    sections = set(Settings.model_fields)
    named = {one for one in re.findall(r"`([a-z]+\.[a-z_]+)`", prose) if one.partition(".")[0] in sections}
    assert named <= known
    assert set(re.findall(r"`\[([a-z]+)\]`", prose)) <= sections
    assert len(named) > 10


def test_links_in_the_page_lead_somewhere(page: str) -> None:
    titles = {
        re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    }
    assert set(re.findall(r"\]\(#(.+?)\)", page)) <= titles
    for file in re.findall(r"\]\(([a-z-]+\.md)\)", page):
        assert (ROOT / "docs" / file).is_file()
