PYTHON ?= python3
RUN = .venv/bin/python
OUT = demo_output

.PHONY: demo test test-all lint clean

# the study on the built-in sample faces, small enough for two cores; the last line is the address of its page
demo: .venv/ready
	$(RUN) -m core_code.experiments --preset demo --dataset sample --output_root $(OUT) --images_root $(OUT)

test: .venv/ready-dev
	OMP_NUM_THREADS=1 $(RUN) -m pytest -n 2

# those marked slow too: more than fifty more kills, and faults that take processes of their own
test-all: .venv/ready-dev
	OMP_NUM_THREADS=1 $(RUN) -m pytest -n 2 -m ""

lint: .venv/ready-dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

.venv/ready: requirements.txt
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

.venv/ready-dev: .venv/ready requirements-dev.txt
	.venv/bin/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@

clean:
	rm -rf .venv $(OUT)
