#!/usr/bin/env bash
# Runs all tests and says at the end which engines they ran on. An engine counts as tested only if
# its own suite was seen to pass here; a missing suite is a failure, never a silent skip.
#   test.sh            every crate
#   test.sh embedded   every crate but the adapters that need a server
set -euo pipefail
cd "$(dirname "$0")/.."

log=target/test.log
crates=(--workspace)
if [ "${1:-}" = embedded ]; then
    for adapter in mysql redis kafka; do
        [ ! -d "crates/adapter-$adapter" ] || crates+=(--exclude "concert-adapter-$adapter")
    done
fi

fail() {
    echo "make test: FAILED: $1" >&2
    exit 1
}

# laws CRATE: how many laws of the ports passed in this adapter's tests/contract.rs. Cargo runs the
# packages one after the other, the unit tests of each first.
laws() {
    awk -v crate="$1" '
        /^ *Running unittests / { mine = index($0, "/deps/" crate "-") }
        /^ *Running / { contract = mine && $2 == "tests/contract.rs" }
        /^test result: ok\./ && contract { sum += $4 }
        END { print sum + 0 }
    ' "$log"
}

mkdir -p target
# Tests of the whole service start the binary itself.
cargo build --locked -p concert-app --bin concert
cargo test "${crates[@]}" --locked 2>&1 | tee "$log" || fail "see the failures above (or $log)"

if grep -E '^test .* \.\.\. ignored' "$log" >&2; then
    fail "the tests above were ignored; an ignored test proves nothing"
fi

embedded=$(laws concert_adapter_sqlite)
[ "$embedded" -gt 0 ] || fail "the laws of the ports did not run on the embedded engine"
sqlite=$(cargo run --quiet --locked -p concert-docgen -- sqlite-version)

echo
awk '/^test result: ok\./ { sum += $4 } END { print sum " tests passed" }' "$log"
echo "tested engines: embedded (SQLite $sqlite, $embedded laws of the ports)"
