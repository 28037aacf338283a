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
# The check is one that can fail: each of these pages is broken in one way, and it must say that one.
broken() {
    local name="$1" reason="$2" change="$3"
    sed -E "$change" "$work/page.html" > "$work/$name.html"
    if cmp -s "$work/page.html" "$work/$name.html"; then fail "the page $name was not changed"; fi
    if scripts/check_page.py "$work/$name.html" 2> "$work/$name.txt"; then fail "the page $name passes"; fi
    grep -q "$reason" "$work/$name.txt" || { cat "$work/$name.txt" >&2; fail "the page $name fails for another reason"; }
}
if command -v chromium >/dev/null; then
    broken asks 'the page asks for nothing\|the console is empty' 's|<main>|<main><img src="https://example.org/x.png">|'
    broken changed 'the console is empty' 's|"use strict";|"use strict"; //|'
    broken mute 'a hover says what a point is' 's|data-points="\[\[|data-points="[[90000,90000,\&quot;away\&quot;],[|'
    broken unmarked 'marking a variant dims the others' 's|class="mark" data-series="floor"|class="mark dim" data-series="floor"|'
    broken cut 'are cut' 's|(<text [^>]*>)differ|\1a title that is much longer than the figure is wide, so that it leaves the figure on its right and nobody can read the end of it: differ|'
fi
"$FLEXPAXOS" report results/failover/reference --export "$work/figures" > "$work/files"
target/loaders/venv/bin/python "$work/figures/figures.py" > "$work/drawn" || fail 'matplotlib cannot draw the figures'
figures="$(grep -c '\.svg$' "$work/files")"
[ "$(wc -l < "$work/drawn")" = "$figures" ] || fail "matplotlib drew not all of $figures figures"
printf 'check_pages: %s figures are drawn by matplotlib too\n' "$figures" >&2
