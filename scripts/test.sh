#!/usr/bin/env bash
# Runs all tests and says at the end which engines they ran on. An engine counts as tested only if
# its own suite was seen to pass here; a missing suite is a failure, never a silent skip.
set -euo pipefail
cd "$(dirname "$0")/.."

log=target/test.log

fail() {
    echo "make test: FAILED: $1" >&2
    exit 1
}

# passed PATTERN: how many tests passed in the test binaries whose "Running" line matches.
passed() {
    awk -v pattern="$1" '
        /^ *(Running|Doc-tests) / { mine = $0 ~ pattern }
        /^test result: ok\./ && mine { sum += $4 }
        END { print sum + 0 }
    ' "$log"
}

mkdir -p target
# Tests of the whole service start the binary itself.
cargo build --locked -p concert-app --bin concert
cargo test --workspace --locked 2>&1 | tee "$log" || fail "see the failures above (or $log)"

if grep -E '^test .* ignored' "$log" >&2; then
    fail "the tests above were ignored; an ignored test proves nothing"
fi

embedded=$(passed 'concert_adapter_sqlite-')
[ "$embedded" -gt 0 ] || fail "the contract suite did not run on the embedded engine"
sqlite=$(cargo run --quiet --locked -p concert-docgen -- sqlite-version)

echo
echo "$(passed .) tests passed"
echo "tested engines: embedded (SQLite $sqlite, $embedded tests of its own)"
