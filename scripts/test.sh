#!/usr/bin/env bash
# Runs all tests and says at the end which engines they ran on. An engine counts as tested only if
# its own suite was seen to pass here; a missing suite is a failure, never a silent skip.
#   test.sh            every crate, on the servers of `scripts/services run`
#   test.sh embedded   everything that needs no server
set -euo pipefail
cd "$(dirname "$0")/.."

log=target/test.log

fail() {
    echo "make test: FAILED: $1" >&2
    exit 1
}

cargo_test() {
    cargo test "$@" --locked 2>&1 | tee -a "$log" || fail "see the failures above (or $log)"
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

# server_versions: "MySQL x, Redis y, Kafka z"; servers of somebody else's tell nothing here.
server_versions() {
    if [ -n "${TEST_SERVICES_DIR:-}" ]; then
        scripts/services versions
    else
        echo "MySQL (external), Redis (external), Kafka (external)"
    fi
}

# Property tests try the same cases in every run here; without this, `cargo test` tries new ones each time.
export PROPTEST_RNG_SEED=${PROPTEST_RNG_SEED:-1}

mkdir -p target
# Tests of the whole service start the binary itself.
cargo build --locked -p concert-app --bin concert
: >"$log"
if [ "${1:-}" = embedded ]; then
    cargo_test -p concert-tests --test hard
    cargo_test --workspace --exclude concert-tests \
        --exclude concert-adapter-mysql --exclude concert-adapter-redis --exclude concert-adapter-kafka
    # The other tests of the whole service are on the full set.
    cargo_test -p concert-tests --test api --test cli --test logs --test metrics --test spans --test crash --test gateway --test openapi --test storm
else
    cargo_test --workspace
fi

if grep -E '^test .* \.\.\. ignored' "$log" >&2; then
    fail "the tests above were ignored; an ignored test proves nothing"
fi

# engine CRATE NAME-AND-VERSION: adds it to those that were tested.
tested=()
engine() {
    local count
    count=$(laws "$1")
    [ "$count" -gt 0 ] || fail "the laws of the ports did not run on $2"
    tested+=("$2 with $count laws of the ports")
}

engine concert_adapter_sqlite "SQLite $(cargo run --quiet --locked -p concert-docgen -- sqlite-version)"
if [ "${1:-}" != embedded ]; then
    IFS=, read -r mysql redis kafka < <(server_versions)
    engine concert_adapter_mysql "$mysql"
    engine concert_adapter_redis "${redis# }"
    engine concert_adapter_kafka "${kafka# }"
fi

echo
awk '/^test result: ok\./ { sum += $4 } END { print sum " tests passed" }' "$log"
list=$(printf '; %s' "${tested[@]}")
echo "tested engines: ${list:2}"
