"""The pages on optimizers and probes say what is so."""

import re
from pathlib import Path

import polars as pl
import pytest

from sftheory import optim
from sftheory.probes import METRICS

ROOT = Path(__file__).parent.parent.parent
PAGES = {name: (ROOT / "docs" / name).read_text("utf-8") for name in ("optim.md", "probes.md")}
TESTS = {
    name
    for file in (ROOT / "tests").rglob("test_*.py")
    for name in re.findall(r"def (test_\w+)\(", file.read_text("utf-8"))
}
CLASSES = [
    "AdamC",
    "GPAAdamW",
    "PolyakScheduleFreeSGD",
    "ScheduleFree",
    "ScheduleFreeAdamW",
    "ScheduleFreePlus",
    "ScheduleFreeRAdam",
    "ScheduleFreeSGD",
]


@pytest.mark.parametrize("page", PAGES)
def test_every_test_that_a_page_names_exists(page):
    named = set(re.findall(r"`(test_\w+)`", PAGES[page]))
    assert named and not named - TESTS


def test_every_feature_compared_is_backed_by_a_test_or_is_missing_here():
    rows = PAGES["optim.md"].split("## Compared")[1].splitlines()
    cells = [row.split("|")[2].strip() for row in rows if row.startswith("| ")][1:]
    assert len(cells) > 40
    assert all(cell == "no" or re.fullmatch(r"(`test_\w+`(, )?)+", cell) for cell in cells)


@pytest.mark.parametrize("page", PAGES)
def test_the_code_of_a_page_runs(page):
    names = {}
    for code in re.findall(r"```python\n(.*?)```", PAGES[page], re.S):
        exec(code, names)
    if page == "probes.md":
        assert isinstance(names["frame"], pl.DataFrame) and names["page"].panels


def test_every_optimizer_and_every_metric_has_its_row():
    for name in CLASSES:
        assert issubclass(getattr(optim, name), object)
        assert re.search(rf"^\| `{name}(\(base\))?` \|", PAGES["optim.md"], re.M), name
    table = PAGES["probes.md"].split("## Metrics")[1].split("## Cost")[0]
    named = {
        n for row in re.findall(r"^\|(.*?)\|", table, re.M) for n in re.findall(r"`(\w+)`", row)
    }
    assert named == set(METRICS.names())
    marked = {n for n in named if re.search(rf"`{n}` \*", table)}
    assert marked == {e.name for e in METRICS if (e.facts or {}).get("sequence")}
