"""The page on fits runs, and names what the package has."""

import re
from pathlib import Path

from sftheory.fits import verdicts

PAGE = (Path(__file__).parents[2] / "docs" / "fits.md").read_text(encoding="utf-8")


def test_the_example_of_the_page_holds():
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    exec(code, {})


def test_the_page_explains_every_verdict_and_every_count():
    words = (verdicts.DIVERGING, verdicts.PHASES, verdicts.OPEN, verdicts.REJECTED, verdicts.FITS)
    for word in words:
        assert f"\n| {word} |" in PAGE
    for count in ("dropped", "no_step", "merged", "conflicts", "stale", "partial", "nonfinite"):
        assert f"`{count}`" in PAGE


def test_the_page_has_the_tables_of_coverage():
    (table,) = re.findall(r"<!-- coverage: begin -->\n(.*?)<!-- coverage: end -->", PAGE, re.S)
    assert "| rho | c | loss at 2T |" in table and "\n| real curves |" in table
