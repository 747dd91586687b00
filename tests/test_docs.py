"""The documentation and the notebooks hold what they say: code runs, links lead somewhere."""

import importlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import sftheory as sft
from sftheory.figures import FIGURES
from sftheory.fits import LAWS
from sftheory.probes import METRICS

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs").glob("*.md")) + sorted((ROOT / "docs/theory").glob("*.md"))
BLOCKS = {page: re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), re.S) for page in PAGES}
ELSEWHERE = ("optim.md", "probes.md", "fits.md")  # tests/optim/test_pages_torch, fits/test_page
TRAINS = ("training.md",)
WRITTEN = ("gallery.md", "references.md", "api/index.md")  # by make docs


def name(page):
    return str(page.relative_to(ROOT))


def with_code():
    for page in PAGES:
        if BLOCKS[page] and page.name not in ELSEWHERE:
            marks = [pytest.mark.slow] if page.name in TRAINS else []
            yield pytest.param(page, id=name(page), marks=marks)


@pytest.mark.parametrize("page", list(with_code()))
def test_the_python_of_a_page_runs_from_top_to_bottom(page, tmp_path):
    (tmp_path / "experiments").symlink_to(ROOT / "experiments")
    text = "\n".join(BLOCKS[page])
    environment = {**os.environ, "MPLBACKEND": "agg", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", text], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_page_points_at_files_that_exist(page):
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.S)
    for target in re.findall(r"\]\((?!http)([^)#\s]+)", text):
        place = (page.parent / target).resolve()
        notebook = ROOT / "notebooks" / Path(target).name  # the index lies beside the notebooks
        assert target in WRITTEN or place.exists() or notebook.exists(), target


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_page_names_figures_that_exist(page):
    for figure in re.findall(r"gallery\.md#(\w+)", page.read_text("utf-8")):
        assert figure.upper() in FIGURES.names()


def test_every_statement_of_the_glossary_links_to_what_shows_it():
    text = (ROOT / "docs/glossary.md").read_text("utf-8")
    for statement in re.findall(r"^- (.*?)(?=^- |^\*\*|^#|\Z)", text, re.S | re.M):
        assert re.search(r"\((gallery\.md#|\.\./notebooks/)", statement), statement


def load(path, module):
    spec = importlib.util.spec_from_file_location(module, path)
    assert spec and spec.loader
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.mark.parametrize("source", sorted((ROOT / "notebooks").glob("[0-9]*.py")), ids=name)
def test_a_notebook_is_what_its_source_says_and_was_run(source):
    assert load(ROOT / "scripts/notebooks.py", "notebooks").faults(source) == []


def test_the_bibliography_shows_every_reference():
    bib = ROOT / "docs/references.bib"
    shown = load(ROOT / "scripts/doc_pages.py", "doc_pages").entries(bib)
    assert list(shown) == re.findall(r"^@\w+\{(\w+),", bib.read_text("utf-8"), re.M)
    assert all(fields["title"] and fields["year"] for fields in shown.values())


def test_every_notebook_is_on_the_page_that_lists_them():
    listed = re.findall(r"\.\./notebooks/(\w+)\.ipynb", (ROOT / "docs/learn.md").read_text("utf-8"))
    assert listed == [file.stem for file in sorted((ROOT / "notebooks").glob("[0-9]*.py"))]


@pytest.fixture
def put_into(tmp_path):
    """Makes a template a file of a registry's folder for the time of a test."""
    changed = []

    def put(registry, template):
        package = importlib.import_module(registry.package)
        shutil.copy(ROOT / "tests/templates" / template, tmp_path)
        changed.append((registry, package, f"{registry.package}.{Path(template).stem}"))
        package.__path__.append(str(tmp_path))
        registry.__dict__.pop("listings", None)

    yield put
    for registry, package, module in changed:
        package.__path__.remove(str(tmp_path))
        registry.__dict__.pop("listings", None)
        sys.modules.pop(module, None)
        for key, entry in list(registry._entries.items()):
            if entry.object.__module__ == module:
                del registry._entries[key]


def test_the_template_of_a_law_fits_its_own_curve(put_into):
    put_into(LAWS, "law.py")
    t = np.linspace(100, 20_000, 300)
    noise = 1e-4 * np.random.default_rng(0).standard_normal(len(t))
    curve = sft.fits.Curve(t, 4 / np.log(np.e + t / 300) + 2 + noise)
    found = sft.fits.fit(curve, law="inverse_log")
    assert found.parameters is not None
    for key, true in (("a", 4), ("b", 300), ("c", 2)):
        assert abs(found.parameters[key] - true) <= 5 * found.errors[key]


def test_the_template_of_a_metric_is_its_definition(put_into):
    put_into(METRICS, "metric.py")
    w = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    model = torch.nn.Module()
    model.w = w
    optimizer = torch.optim.SGD([w], lr=0.1)
    log = sft.probe(optimizer, model, metrics=["homesickness"])
    start, expected = w.detach().clone(), []
    for aim in (torch.tensor([3.0, 0.0]), torch.tensor([-1.0, 1.0])):
        optimizer.zero_grad()
        (w - aim).square().sum().backward()
        moved = w.detach() - start
        expected.append(torch.nn.functional.cosine_similarity(w.grad, moved, dim=0).item())
        optimizer.step()
    values = log.frame().filter(module="")["value"].to_list()
    assert values[0] is None  # nothing has moved yet
    assert abs(values[1] - expected[1]) < 1e-6
