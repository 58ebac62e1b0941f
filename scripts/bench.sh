#!/usr/bin/env bash
# The benchmarks, on servers that are there: scripts/services run -- scripts/bench.sh PART [OPTIONS]
#   bench.sh full       every part; figures and page go to docs/benchmarks/ and docs/BENCHMARKS.md
#   bench.sh quick      every part, shorter; the figures go to target/bench/ and are not the page's
#   bench.sh smoke      every part for a moment with tiny sizes: only to see that it works
#   bench.sh PART ...   one part, such as http; options as in `concert bench PART --help`
# It takes target/release/concert, or for smoke target/debug/concert if that is newer or alone.
set -euo pipefail
cd "$(dirname "$0")/.."

parts=(http journey overload cache locks indexes growth)
# The others are tried with next to nothing by tests/measure.rs.
[ "${1:-}" != smoke ] || parts=(http journey overload cache growth)

concert=target/release/concert
if [ "${1:-}" = smoke ] && [ target/debug/concert -nt "$concert" ]; then
    concert=target/debug/concert
fi
[ -x "$concert" ] || { echo "bench: $concert is missing: cargo build --release -p concert-app" >&2; exit 1; }

# The servers of `scripts/services run`.
if [ -n "${TEST_MYSQL_URL:-}" ]; then
    export DATABASE_URL=$TEST_MYSQL_URL REDIS_URL=$TEST_REDIS_URL KAFKA_BROKERS=$TEST_KAFKA_BROKERS
    # Empty if they run elsewhere.
    for server in MYSQL REDIS KAFKA; do
        pid=TEST_${server}_PID
        [ -z "${!pid:-}" ] || export "${server}_PID=${!pid}"
    done
fi
export RUST_LOG=${RUST_LOG:-warn,rskafka=error}
# A thousand clients are a thousand files here and as many in the service.
[ "$(ulimit -n)" = unlimited ] || [ "$(ulimit -n)" -ge 8192 ] || ulimit -n 8192

# all FOLDER OPTIONS...: every part in turn, one file of figures each. One that fails does not keep
# the others from being measured; it is named at the end.
failed=()
all() {
    local folder=$1 part
    shift
    mkdir -p "$folder"
    for part in "${parts[@]}"; do
        SECONDS=0
        echo "bench: $part" >&2
        if "$concert" bench "$part" --out "$folder/$part.json" "$@"; then
            echo "bench: $part took $SECONDS s" >&2
        else
            failed+=("$part")
        fi
    done
}

# After the page, which has the earlier figures of a part that failed, if there are any.
judge() {
    [ ${#failed[@]} = 0 ] || { echo "bench: FAILED: ${failed[*]}" >&2; exit 1; }
}

case ${1:-} in
    full)
        all docs/benchmarks
        "$concert" bench report --from docs/benchmarks --to docs/BENCHMARKS.md
        judge
        ;;
    quick)
        all target/bench --quick
        "$concert" bench report --from target/bench --to target/bench/BENCHMARKS.md
        judge
        echo "bench: these are quick figures, in target/bench/; the real page is made by: make bench"
        ;;
    smoke)
        all target/bench-smoke --smoke >/dev/null
        "$concert" bench report --from target/bench-smoke --to target/bench-smoke/BENCHMARKS.md >/dev/null
        judge
        echo "bench: every part works (${parts[*]})"
        ;;
    "" | -h | --help) sed -n '2,7s/^# \{0,1\}//p' "$0" ;;
    *) exec "$concert" bench "$@" ;;
esac
