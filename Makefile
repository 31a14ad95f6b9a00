# The commands of this project; `make help` lists them. Works with GNU make 3.81 and later.
#
#   PROFILE=smoke|local|study|paper   what `make paper` runs (local)
#   FROM=records                      `make paper` renders the published run only
#   PYTHON=/path/to/python            the Python to make .venv with, 3.11 or later
#
# pip is used as you have configured it: its indexes, proxies and certificates are yours.

PROFILE ?= local
FROM ?= run
PARTS = smollm2-135m efficientnet-lite0 moonshine-base yamnet minilm piper-joe imagenet-names

ifndef PYTHON
PYTHON := $(shell for p in python3.11 python3 python; do \
  if $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; \
  then echo $$p; break; fi; done)
endif
BIN := $(if $(filter Windows_NT,$(OS)),.venv/Scripts,.venv/bin)

.DEFAULT_GOAL := help
.PHONY: help paper test study book clean-cache

help:
	@echo 'make paper        run the notebooks and build the book (PROFILE=smoke: minutes;'
	@echo '                  FROM=records: render the published run only)'
	@echo 'make test         all checks that CI runs'
	@echo 'make study        every section in full, published: about 6 hours, resumable'
	@echo 'make book         the same as make paper FROM=records'
	@echo 'make clean-cache  delete what was downloaded and computed (YES=1: unasked)'
	@echo 'Without make: see gemb --help.'

paper: .venv/ready
	@$(BIN)/gemb paper --profile $(PROFILE) --from $(FROM)

test: .venv/ready-dev
	@echo 'Pretrained parts: 316 MB to download, unless they are in the cache already.'
	@echo 'Then all checks: about 24 minutes on two cores.'
	@$(BIN)/gemb fetch $(PARTS)
	@$(BIN)/gemb test

study: .venv/ready
	@$(BIN)/gemb study

book: .venv/ready
	@$(BIN)/gemb paper --from records

# installs nothing: to free the disk must not fill it first
clean-cache:
	@if [ -x $(BIN)/gemb ]; then $(BIN)/gemb clean-cache $(if $(YES),--yes); else \
	  echo 'There is no .venv here. What is cached lies in GEMB_HOME, or else in ~/.cache/gemb'; \
	  echo '(macOS: ~/Library/Caches/gemb): delete that folder.'; fi

# A stamp is written last, so an interrupted installation is taken up again, a finished one
# is not repeated, and a change of the pins renews it.
define install
	@if [ -z '$(PYTHON)' ]; then \
	  echo 'No Python 3.11 or later was found. Install one, or name it: make PYTHON=/path/to/python' >&2; \
	  exit 1; fi
	@case '$(OFFLINE)' in ''|0|no|false) ;; *) \
	  echo 'OFFLINE is set, and .venv is not there or older than the pins: run this once without' \
	    'OFFLINE, where pip can reach its packages.' >&2; exit 1;; esac
	@echo 'Setting up .venv: up to 640 MB of Python packages to download with a CPU build of torch'
	@echo '(a CUDA build: some 3 GB more), 2.5 GB of disk, 4 to 8 minutes.'
	@'$(PYTHON)' -m venv .venv
	@if [ -t 1 ]; then quiet=; else quiet=--quiet; fi; \
	  $(BIN)/python -m pip install $$quiet -c constraints.txt -e '$(1)'
endef

.venv/ready: pyproject.toml constraints.txt
	$(call install,.)
	@touch $@

.venv/ready-dev: pyproject.toml constraints.txt
	$(call install,.[dev])
	@touch .venv/ready $@
