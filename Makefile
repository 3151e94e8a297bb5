# Everything a fresh machine needs: Python 3.11 or newer, make and git.
#   make demo    the demo: number names in languages never seen (ten minutes on two cores)
#   make test    the tests
#   make check   what CI checks besides: style, types, the built wheel
#   make style   put the code into shape

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
# A model this small is no faster on a GPU; two processes of one thread each share two cores best.
CPU := CUDA_VISIBLE_DEVICES= ACCELERATE_USE_CPU=1 OMP_NUM_THREADS=1

.PHONY: demo test check style wheel

demo: $(READY)
	test -f data/numbers/collection.yaml || $(BIN)/python data_scripts/numbers.py --out data/numbers
	$(CPU) $(BIN)/torchrun --nproc-per-node 2 -m metanlp train demo/numbers
	$(CPU) $(BIN)/metanlp evaluate runs/demo-numbers

test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest

check: $(READY) wheel
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

style: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The wheel, installed where the checkout is not in sight, has its recipes inside.
wheel: $(READY)
	rm -rf build/wheel && $(BIN)/python -m build --wheel --no-isolation --outdir build/wheel
	$(PYTHON) -m venv --clear --system-site-packages build/wheel/venv
	echo "$$(cd .venv/lib/python3*/site-packages && pwd)" > $$(echo build/wheel/venv/lib/python3*/site-packages)/shared.pth
	build/wheel/venv/bin/python -m pip install -q --no-deps --no-index --force-reinstall build/wheel/metanlp-*.whl
	cd build/wheel && venv/bin/python -P -c "import metanlp; assert 'build/wheel/venv' in metanlp.__file__, metanlp.__file__"
	cd build/wheel && venv/bin/metanlp show demo/numbers > /dev/null && venv/bin/metanlp recipes

$(READY): pyproject.toml constraints.txt
	test -d .venv || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --upgrade pip
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[demo,chat,dev]'
	touch $(READY)
