#!/usr/bin/env bash
# Writes the page of a reference and uses it in a browser, then draws exported figures with matplotlib.
#
#   scripts/check_pages.sh     FLEXPAXOS names the program; the dev build is used if it is not given
#
# Writes to target/pages. scripts/check_loaders.sh --install installs matplotlib.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [ -z "${FLEXPAXOS:-}" ]; then
    cargo build --locked --quiet --bin flexpaxos
    FLEXPAXOS=target/debug/flexpaxos
fi
fail() {
    printf 'check_pages: %s\n' "$*" >&2
    exit 1
}
work=target/pages
rm -rf "$work"
mkdir -p "$work"
"$FLEXPAXOS" report results/failover/reference -o "$work/page.html"
scripts/check_page.py "$work/page.html" || fail 'the page of failover is not as it should be'
# The check is one that can fail.
if command -v chromium >/dev/null; then
    sed 's|<main>|<main><img src="https://example.org/x.png">|' "$work/page.html" > "$work/asks.html"
    if scripts/check_page.py "$work/asks.html" 2>/dev/null; then fail 'a page that asks for an image passes'; fi
    sed 's|"use strict";|"use strict"; //|' "$work/page.html" > "$work/changed.html"
    if scripts/check_page.py "$work/changed.html" 2>/dev/null; then fail 'a page with a changed script passes'; fi
fi
"$FLEXPAXOS" report results/failover/reference --export "$work/figures" > "$work/files"
target/loaders/venv/bin/python "$work/figures/figures.py" > "$work/drawn" || fail 'matplotlib cannot draw the figures'
figures="$(grep -c '\.svg$' "$work/files")"
[ "$(wc -l < "$work/drawn")" = "$figures" ] || fail "matplotlib drew not all of $figures figures"
printf 'check_pages: %s figures are drawn by matplotlib too\n' "$figures" >&2
