"""The modules as text: whole, alone, and in the colours of the figures."""

import re
from importlib.resources import files
from pathlib import Path

import pytest

from sftheory import explore
from sftheory.core.errors import InputError
from sftheory.explore import drawn_schedules, dropped_logs, rivers
from sftheory.explore.modules import IMPORT, bundle, source, style, widget_module
from sftheory.explore.pages import EXPLORERS, page
from sftheory.figures.style import DARK, LIGHT

FOLDER = files("sftheory.explore") / "js"
NAMES = sorted(file.name for file in FOLDER.iterdir())


@pytest.mark.parametrize("name", NAMES)
def test_a_module_imports_only_what_its_neighbours_export(name):
    text = source(name)
    assert text.count("import ") == len(re.findall(r"^import \{", text, re.M)) + text.count(
        "// import "
    )
    for names, module in IMPORT.findall(text):
        other = source(f"{module}.js")
        for one in names.split(","):
            wanted = one.split(" as ")[0].strip()
            if wanted:
                assert re.search(rf"^export (?:async )?(?:function|const|class) {wanted}\b",
                                 other, re.M), (name, wanted)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_no_module_bears_the_name_of_what_it_exports(name):
    exported = re.findall(r"^export (?:async )?(?:function|const|class) (\w+)", source(name), re.M)
    assert name.removesuffix(".js") not in exported


@pytest.mark.parametrize("name", NAMES)
def test_a_module_is_one_idea(name):
    assert source(name).count("\n") < 250 and max(map(len, source(name).split("\n"))) <= 100
    assert source(name).startswith("// ")


def test_nothing_is_fetched():
    whole = page() + "".join(
        widget_module(n) for n in ("rivers", "drawn_schedules", "dropped_logs")
    )
    addresses = set(re.findall(r"https?://[^\s\"'<]+", whole))
    assert addresses == {"http://www.w3.org/2000/svg"}  # a name, not a place
    assert not re.search(r"\bfetch\(|XMLHttpRequest|@import|\burl\(", whole)


def test_a_bundle_holds_each_module_once_after_what_it_needs():
    text = bundle("page")
    defined = re.findall(r"^const (\w+) = \(\(\) => \{$", text, re.M)
    assert len(defined) == len(set(defined)) and defined[-1] == "page"
    assert {f"{name}.js" for name in defined} == set(NAMES)


def test_colours_are_those_of_the_figures():
    light, dark = style().split("@media", 1)
    for i in range(6):
        assert f"--c{i}: {LIGHT[i]}" in light
        assert dark.count(f"--c{i}: {DARK[i]}") == 2


def test_where_the_page_starts_is_where_python_starts():
    starts = [rivers.INPUTS, drawn_schedules.INPUTS, dropped_logs.INPUTS]
    computed = [explore.river_data, explore.worst_case_data, explore.law_data]
    assert [inputs for *_, inputs in EXPLORERS.values()] == starts
    for inputs, compute in zip(starts, computed, strict=True):
        assert "error" not in compute(**inputs)


def test_a_widget_answers_from_python_and_shows_errors_in_place():
    pytest.importorskip("anywidget", reason="the extra 'explore' is not installed")
    widget = explore.river(noise=0.0)
    before = widget.data
    widget.inputs = widget.inputs | {"noise": 2.0}
    assert widget.data != before and widget.data == explore.river_data(noise=2.0)
    widget.inputs = widget.inputs | {"gamma": -1}
    assert widget.data["error"].startswith("gamma must be a number")
    widget.inputs = widget.inputs | {"unknown": 1}
    assert widget.data["error"].startswith("This could not be computed")
    assert explore.worst_case().data["value"] > 0 and explore.law().data["waiting"]
    with pytest.raises(InputError, match="did you mean 'noise'"):
        explore.river(nois=1)


def test_the_examples_of_the_guide_run():
    pytest.importorskip("anywidget", reason="the extra 'explore' is not installed")
    guide = (Path(__file__).parents[2] / "docs" / "explore.md").read_text(encoding="utf-8")
    exec("".join(re.findall(r"```python\n(.*?)```", guide, re.S)), {})
