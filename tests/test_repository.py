"""What can drift apart is compared: texts, references, versions, templates."""

import importlib.util
import re
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

import sftheory
from sftheory.core.tableau import Tableau
from sftheory.figures.readme import rewrite, table
from sftheory.options import registries

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
KEYS = set(re.findall(r"^@\w+\{(\w+),", (ROOT / "docs/references.bib").read_text("utf-8"), re.M))


@pytest.mark.parametrize("example", [0, 1], ids=["theory", "training"])
def test_the_readme_examples_hold_in_at_most_twelve_lines(example):
    code = re.findall(r"```python\n(.*?)```", README, re.S)[example]
    assert sum(bool(line) for line in code.split("\n")) <= 12
    exec(code, {})


@pytest.mark.parametrize("page", re.findall(r"\]\(((?!http)[^)]+)\)", README))
def test_the_readme_points_at_files_that_exist(page):
    assert (ROOT / page).exists()


def test_the_readme_names_every_figure_with_what_it_claims_now():
    manifests = []
    for entry in registries()["figures"]:
        assert f"| {entry.name} |" in README
        if not (entry.facts or {}).get("seconds"):
            figure = entry.make()
            claims = [claim.record() for claim in figure.claims(figure.data())]
            manifests.append({"figure": entry.name, "claims": claims})
    for row in table(manifests).split("\n"):
        assert row in README


def test_rewriting_the_readme_keeps_everything_else():
    text = rewrite(README, [])
    assert text.split("<!--")[0] == README.split("<!--")[0]
    assert text.split("end -->")[1] == README.split("end -->")[1]


@pytest.mark.parametrize("kind", list(registries()))
def test_every_reference_is_in_the_bibliography(kind):
    for entry in registries()[kind]:
        assert entry.ref == "" or entry.ref in KEYS, entry.name
    for entry in registries()["figures"]:
        figure = entry.make()
        assert figure.title()


def test_citation_changelog_and_package_agree_on_the_version():
    citation = (ROOT / "CITATION.cff").read_text()
    version = sftheory.__version__
    assert f"version: {version}\n" in citation
    date = re.search(r"date-released: (\S+)", citation)
    assert date and f"## [{version}] - {date[1]}" in (ROOT / "CHANGELOG.md").read_text()


def test_every_dependency_carries_its_reason_and_is_pinned():
    text = (ROOT / "pyproject.toml").read_text()
    project = tomllib.loads(text)["project"]
    pinned = {
        line.split("==")[0].lower()
        for line in (ROOT / "constraints.txt").read_text().split("\n")
        if "==" in line
    }
    for dependency in project["dependencies"]:
        assert re.search(rf'^  "{re.escape(dependency)}", +# \w', text, re.M), dependency
        assert re.split("[<>=]", dependency)[0] in pinned, dependency


def test_the_design_names_every_method_and_schedule():
    design = (ROOT / "docs/design.md").read_text(encoding="utf-8")
    for kind in ("methods", "schedules"):
        for entry in registries()[kind]:
            assert f"`{entry.object.__name__}" in design, entry.name


def load(name, monkeypatch):
    spec = importlib.util.spec_from_file_location(name, ROOT / f"tests/templates/{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def registered():
    before = {kind: dict(r._entries) for kind, r in registries().items()}
    yield
    for kind, entries in before.items():
        registries()[kind]._entries = entries


@pytest.mark.usefixtures("registered")
def test_the_templates_of_the_guide_work(monkeypatch):
    assert load("schedule", monkeypatch).LateCosine()(4).shape == (4,)
    assert isinstance(
        load("method", monkeypatch).AverageWithoutStart().tableau([0.1, 0.1]), Tableau
    )
    norm = load("problem", monkeypatch).Norm()
    traj = sftheory.run(norm, sftheory.methods.LastIterate().tableau([0.5] * 20))
    assert traj.gap_x[0, -1] <= sftheory.bounds.last_iterate([0.5] * 20, D=norm.D, G=norm.G)
    assert load("bound", monkeypatch).distance_bound(np.ones((2, 3)), D=1, G=1).tolist() == [
        4.0,
        4.0,
    ]
    figure = load("figure", monkeypatch).MinimaxValue()
    assert all(claim.holds for claim in figure.claims(figure.data()))
    guide = (ROOT / "docs/adding.md").read_text()
    for file in (ROOT / "tests/templates").glob("*.py"):
        assert f"tests/templates/{file.name}" in guide
