# Two commands: `make reproduce` draws every figure and checks its claims, `make test` tests all.
# They need Python >= 3.11, make and a package index, and make .venv when it is missing.

unexport PYTHONDONTWRITEBYTECODE  # every process would compile all of its imports anew

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# workers that each start a thread for every core hold each other up
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
QUICK ?=

.PHONY: reproduce test test-slow cluster-test setup benchmarks notebooks docs clean

reproduce: $(STAMP)
	@$(BIN)/sftheory reproduce $(if $(QUICK),--quick)

test: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright
	$(BIN)/lint-imports --no-logo
	MPLBACKEND=agg $(ONE_THREAD) $(BIN)/python -m pytest -n auto --dist loadfile -m "not slow"

# the long ones: thousands of random methods against programs, 2e5 samples, 100,000 broken files
test-slow: $(STAMP)
	MPLBACKEND=agg $(ONE_THREAD) $(BIN)/python -m pytest -n auto -m slow

# sweeps on a real Slurm, which it installs; needs root on Debian, or a machine with its daemons
cluster-test: $(STAMP)
	scripts/slurm_test.sh $(BIN)/python

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all]'
	touch $(STAMP)

benchmarks: $(STAMP)
	for file in benchmarks/*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

# executes all notebooks and keeps their outputs; a cell has two minutes, a stalled kernel one retry
notebooks: $(STAMP)
	$(BIN)/python scripts/notebooks.py

# docs/_build/html, without a warning; the gallery shows the figures that have been made
docs: $(STAMP)
	@test -f paper_figures/out/index.html || $(BIN)/sftheory reproduce --quick
	$(BIN)/python scripts/docs.py

clean:
	rm -rf $(VENV) paper_figures/out docs/_build .pytest_cache .ruff_cache .hypothesis .import_linter_cache
