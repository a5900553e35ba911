#!/bin/sh
# Install what tools/packages.txt names and make the virtual environment $1. Safe to run again; needs root for apt.
set -eu
venv=${1:-.venv}
cd "$(dirname "$0")/.."

missing=""
for package in $(grep -v '^#' tools/packages.txt); do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
python3 -c 'import ensurepip, venv' 2>/dev/null || missing="$missing python3-venv"
if [ -n "$missing" ]; then
    if [ "$(id -u)" != 0 ]; then
        echo "wherry: not root; run: sudo apt-get install -y$missing" >&2
        exit 1
    fi
    echo "installing:$missing"
    # A package that starts a server on installation must not: its port belongs to the tests.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' > "$policy"
        chmod 755 "$policy"
        trap 'rm -f "$policy"' EXIT
    fi
    apt-get update -qq
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi

[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/python" -m pip install -q --disable-pip-version-check -e '.[dev]'
echo "ready: $venv/bin/wherry"
