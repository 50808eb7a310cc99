"""A report shows everything that a run found, needs no other file, and says nothing that the run does not."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from hexdicom.bench import markdown
from hexdicom.bench.findings import findings
from hexdicom.bench.result import Codec, Skip
from hexdicom.bench.tables import ranked, tables

if TYPE_CHECKING:
    from hexdicom.bench.result import Measurement, Run


def figures(one: Measurement) -> set[str]:
    return {one.series, one.codec, f"{one.bits_per_voxel:.4f}", f"{one.bytes:,}".replace(",", " ")}


def test_every_result_stands_in_a_row(everyone: Run) -> None:
    rows = [{cell.text for cell in row} for table in tables(everyone) for row in table.rows]
    for one in everyone.results:
        assert any(figures(one) <= row for row in rows)
    for skip in everyone.skipped:
        assert any({skip.codec, skip.reason} <= row for row in rows)
    for failure in everyone.failures:
        assert any({failure.series, failure.codec, failure.step, failure.error} <= row for row in rows)


def test_rows_are_as_long_as_their_head(everyone: Run) -> None:
    for table in tables(everyone):
        assert {len(row) for row in table.rows} == {len(table.head)}, table.title


def test_markdown_shows_every_table(everyone: Run) -> None:
    text = markdown.text(everyone)
    assert all(f"## {table.title}\n" in text for table in tables(everyone))
    assert len(re.findall(r"^\| ", text, re.MULTILINE)) == sum(len(table.rows) + 2 for table in tables(everyone))
    assert everyone.command in text


def test_markdown_takes_no_word_for_a_sign(everyone: Run) -> None:
    odd = replace(everyone, skipped=(Skip("a|b", "", "two\nlines, <b>, *stars*"),))
    assert "| all | a\\|b | two lines, \\<b>, \\*stars\\* |" in markdown.text(odd)


def test_the_page_shows_every_table_and_needs_no_other_file(everyone: Run) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (pip install 'hexdicom[bench]')")
    from hexdicom.bench import page

    html = page.html(everyone)
    HTMLParser().feed(html)
    shown = {unescape(text) for text in re.findall(r"<td[^>]*>(.*?)</td>", html)}
    for one in everyone.results:
        assert figures(one) <= shown
    for failure in everyone.failures:
        assert failure.error in shown
    assert not re.search(r"(src|href)=\"(?!#)|@import|url\((?!#)", html)
    names = re.findall(r'\bid="([^"]+)"', html)
    assert len(names) == len(set(names)), "one page, no name twice"
    assert set(re.findall(r'href="#([^"]+)"', html)) <= set(names)


def test_charts_are_whole_and_the_same_each_time(everyone: Run) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (pip install 'hexdicom[bench]')")
    from hexdicom.bench import charts

    drawn = charts.draw(everyone)
    within = ["bits-per-voxel-within-2"] if any(one.max_error for one in everyone.results) else []
    assert list(drawn) == ["bits-per-voxel", "rate-and-time", *within]
    for svg in drawn.values():
        assert ET.fromstring(svg).get("viewBox")
    assert charts.draw(everyone) == drawn


def test_an_empty_run_has_a_report(everyone: Run) -> None:
    empty = replace(everyone, series=(), codecs=(), results=(), skipped=(), failures=())
    assert tables(empty) == ()
    assert "How it was measured" in markdown.text(empty)


def test_sentences_tell_gain_and_cost(everyone: Run) -> None:
    measured = [one for one in everyone.results if one.codec == "JPEG XL"]
    if not measured:
        pytest.skip("imagecodecs is not installed (pip install 'hexdicom[bench]')")
    ours = [
        replace(
            one, codec="hexdicom x", bytes=one.bytes // 2, encode_seconds=30 * one.encode_seconds, decode_seconds=one.decode_seconds
        )
        for one in measured
    ]
    run = replace(
        everyone, codecs=(*everyone.codecs, Codec("hexdicom x", "", "", 0, ours=True)), results=(*everyone.results, *ours)
    )
    run = replace(run, against=("JPEG XL",))
    (said,) = findings(run)
    assert said == "hexdicom x: 50.0 % fewer bytes than JPEG XL (2 series); encoding takes 30 times as long, decoding 1.0 times."
    assert ranked(run, 0)[0].name == "hexdicom x"
