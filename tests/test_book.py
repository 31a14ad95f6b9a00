"""The book builds without a warning, with every page, and reads as it should."""

import re
from html.parser import HTMLParser

import pytest

from gemb import paper
from gemb.adaptor import num_parameters


@pytest.fixture(scope="module")
def pages():
    return paper.build_book().parents[1]


class Images(HTMLParser):
    def __init__(self):
        super().__init__()
        self.without = []

    def handle_starttag(self, tag, attrs):
        if tag == "img" and not dict(attrs).get("alt"):
            self.without.append(dict(attrs).get("src", "")[:60])


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_page_is_there_and_every_image_has_alternative_text(pages):
    found = list(pages.rglob("book/*.html")) + list(pages.rglob("notebooks/*.html"))
    assert {p.stem for p in found} >= {
        "index",
        "method",
        "reproduce",
        "references",
        "01_single_task",
    }
    for page in found:
        parser = Images()
        parser.feed(page.read_text(encoding="utf-8"))
        assert not [s for s in parser.without if "logo" not in s], page


@pytest.mark.slow
def test_no_page_needs_another_host_to_be_read(pages):
    for page in [*pages.glob("book/*.html"), *pages.glob("notebooks/*.html")]:
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r'<(?:script|link|img|iframe)[^>]+(?:src|href)="(https?://[^"]+)', text)
        assert not [u for u in loaded if "canonical" not in u], page


def test_the_method_page_states_what_the_formula_gives():
    text = (paper.ROOT / "book" / "method.md").read_text(encoding="utf-8")
    for k in (1, 8, 32):
        assert f"| {k} | {num_parameters(3072, 3072, 2560, k):,} |" in text


def test_tables_made_from_records_have_their_csv_beside_them():
    book = paper.ROOT / "book"
    for page, name in (("index", "single_task"), ("results", "report")):
        assert f"<records/{name}.csv>" in (book / f"{page}.md").read_text(encoding="utf-8")
        assert (book / "records" / f"{name}.csv").is_file()


def test_markdown_of_the_readme_and_the_first_page_is_the_records():
    record = paper.PUBLISHED_SUMMARY
    assert record.read_text(encoding="utf-8").strip() in (paper.ROOT / "README.md").read_text(
        encoding="utf-8"
    )
    found = paper.findings()
    assert paper.PUBLISHED_FINDINGS.read_text(encoding="utf-8") == found and found.count("\n") == 4
