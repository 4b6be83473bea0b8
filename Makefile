# `make demo` and `make test` prepare everything they need in .venv; nothing else is assumed but
# Python 3.11 to 3.13 (PYTHON=... chooses which; TensorFlow has no newer), make, and a package index.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
OUT ?= build/arabic-letters
READY := $(VENV)/.ready

.PHONY: demo test lint bench soak parity-arm64 parity-web lock clean

demo: $(READY)
	$(BIN)/hcr-edge export arabic-letters --out $(OUT) --overwrite
	$(BIN)/hcr-edge classify samples/photos/*.jpg --model $(OUT)/arabic-letters-int8.onnx

test: $(READY)
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(READY)
	$(BIN)/python -m pytest benchmarks --benchmark-columns=median,iqr,rounds -s

soak: $(READY)
	$(BIN)/python benchmarks/soak.py

# The demo's bundle on arm64 engines, emulated; and on onnxruntime-web under Node (npm).
parity-arm64: $(READY)
	PYTHON=$(BIN)/python tools/arm64_root.sh build/arm64
	test -d $(OUT) || $(MAKE) demo
	$(BIN)/hcr-edge matrix $(OUT) --arm64-root build/arm64 --limit 280 --engine litert \
	  --engine onnxruntime --engine litert-arm64 --engine onnxruntime-arm64

parity-web: $(READY)
	npm install --silent --prefix build/web onnxruntime-web
	test -d $(OUT) || $(MAKE) demo
	NODE_PATH=build/web/node_modules $(BIN)/hcr-edge matrix $(OUT) --limit 280 \
	  --engine onnxruntime --engine onnxruntime-web

# Trains again what ships, and puts it in place; what was interrupted goes on.
TRAINED := arabic-letters arabic-letters-nano persian-digits russian-letters latin-letters
$(TRAINED:%=train-%): train-%: $(READY)
	$(BIN)/hcr-edge train --recipe $* --out runs/$* --resume
	$(BIN)/python -m hcr_edge.shipping runs/$*

$(READY): requirements.lock requirements-headless.lock pyproject.toml export/pyproject.toml runtime/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
	  || { echo "Python 3.11 to 3.13 is needed: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "this Python cannot make environments (Debian: apt install python3-venv)"; exit 1; }
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
# opencv-python needs libGL; where a machine has none, its headless twin takes its place.
	@$(BIN)/python -c 'import cv2' 2>/dev/null || { \
	  echo "no libGL here: taking the headless OpenCV"; \
	  $(BIN)/python -m pip uninstall --quiet --yes opencv-python; \
	  $(BIN)/python -m pip install --quiet --require-hashes --no-deps --force-reinstall \
	    -r requirements-headless.lock; }
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e ./runtime -e ./export -e .
	@touch $@

lock:
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-annotate --custom-compile-command "make lock" \
	  --no-emit-package hcr-edge-runtime --no-emit-package hcr-edge-export \
	  --all-extras --group dev pyproject.toml -o requirements.lock
	sed -n '/^opencv-python==/s/opencv-python==\([^ ]*\).*/opencv-python-headless==\1/p' \
	  requirements.lock | uv pip compile --quiet --universal --python-version 3.11 \
	  --generate-hashes --no-deps --no-emit-index-url --no-annotate \
	  --custom-compile-command "make lock" - -o requirements-headless.lock

clean:
	rm -rf $(VENV) build runs
