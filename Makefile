# Everything a fresh Debian or Ubuntu machine with root and Python 3.11+ needs is installed by these targets.
VENV   := .venv
PYTHON := $(VENV)/bin/python
READY  := $(VENV)/.ready

.PHONY: demo test check bench clean setup lint guest hostile simulation judges locks

demo: $(READY) .cache/clients/.ready  ## cluster up, the shop built from source, deployed and called through the gateway
	$(PYTHON) examples/shop/demo.py

test: $(READY) .cache/clients/.ready lint  ## every test, with real kubectl, Helm, crun, nftables, Envoy and etcd; two files at once
	$(VENV)/bin/pytest -p no:cacheprovider -n 2 --dist loadfile --no-loadscope-reorder

check: $(READY) lint  ## the fast subset: under a minute, no root needed
	$(VENV)/bin/pytest -m "not node and not slow and not cluster" -x -n 2

lint: $(READY)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

bench: $(READY) .cache/clients/.ready  ## every figure of DESIGN section 6 that can be had here; results in bench/results
	$(PYTHON) bench/run_all.py --record

judges: $(READY)  ## kube-apiserver and etcd as upstream has them, for bench/api_peer.py; ten minutes of two idle cores, once
	./tools/build_judges.sh .cache/judges

guest: $(READY) .cache/clients/.ready  ## the newcomer's path in a stock Debian 12 guest (systemd, cgroup v2) under QEMU, with a power cut
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends mmdebstrap qemu-system-x86 e2fsprogs >/dev/null
	$(PYTHON) tests/guest/run.py .cache/guest .cache/clients

hostile: $(READY) .cache/clients/.ready  ## the attacks of tests/hostile/README.md at their whole scale; hours
	WHERRY_HOSTILE=whole $(VENV)/bin/pytest -p no:cacheprovider -s tests/hostile

SEEDS := 0-999
simulation: $(READY)  ## the control plane under seeds and virtual time: two to four seconds of a core each; SEEDS=0-999
	$(PYTHON) tests/simulation/run.py $(SEEDS) --jobs 2

locks: $(READY) .cache/clients/.ready  ## every lock file and workspace built in the real build image, twice; ten minutes
	WHERRY_LOCKS=every $(VENV)/bin/pytest -p no:cacheprovider tests/integration/test_build_locks.py

setup: $(READY) .cache/clients/.ready

$(READY): pyproject.toml tools/setup.sh tools/packages.txt
	./tools/setup.sh $(VENV)
	touch $@

.cache/clients/.ready: tools/get_clients.py | $(READY)
	$(PYTHON) tools/get_clients.py .cache/clients
	touch $@

clean:  ## cluster of the demo, virtual environment and caches
	-[ -x $(VENV)/bin/wherry ] && $(VENV)/bin/wherry down --purge
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
