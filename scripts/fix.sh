#!/usr/bin/env bash
# Repairs what a machine can repair: formatting, and the lints that say how. Then run check.sh.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cargo clippy --all-targets --fix --allow-dirty --allow-staged
cargo fmt
