#!/usr/bin/env bash
# Where the processor time of a benchmark goes: flame graphs of the service and of MySQL, for a browser.
#
#   scripts/services run -- scripts/profile.sh NAME PART [OPTIONS]
#   scripts/services run -- scripts/profile.sh reads http --only reads --clients 32
#   scripts/services run -- scripts/profile.sh journey journey
#   STACKS=AggregateIterator scripts/services run -- scripts/profile.sh counts cache
#   HEAP=1 scripts/services run -- scripts/profile.sh heap http --only bursts
#
# PART and OPTIONS are those of scripts/bench.sh; indexes and locks have no service, only MySQL. With STACKS,
# only stacks that match it count; with HEAP (not for those two), the picture is of the memory that the service has in use when that is most, in
# bytes (needs heaptrack and gdb, and inferno as below). The pictures go to docs/benchmarks/profiles/. Needs perf
# (linux-perf), inferno (cargo install inferno), and a release build that knows its lines:
#   CARGO_PROFILE_RELEASE_DEBUG=line-tables-only cargo build --release -p concert-app
set -euo pipefail
cd "$(dirname "$0")/.."

name=${1:?usage: $0 NAME PART [OPTIONS]}
shift
tools=(perf inferno-collapse-perf inferno-flamegraph)
[ -z "${HEAP:-}" ] || tools=(heaptrack heaptrack_print gdb inferno-flamegraph)
for tool in "${tools[@]}"; do
    command -v "$tool" >/dev/null || { echo "profile: FAILED: $tool is missing (see $0)" >&2; exit 1; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

scripts/bench.sh "$@" >"$work/bench" 2>&1 &
bench=$!
service=""
if [[ $1 != indexes && $1 != locks ]]; then
    # The first start of the service brings its database to its version and ends; a second is measured.
    while kill -0 $bench 2>/dev/null; do
        now=$(pgrep -f 'concert serve$' | head -1 || true)
        if [ -n "$now" ] && [ "$now" = "$service" ]; then
            break
        fi
        service=$now
        sleep 1
    done
    [ -n "$service" ] || { cat "$work/bench" >&2; echo "profile: FAILED: no service was seen" >&2; exit 1; }
fi

# Until what is measured ends: what records it ends with it.
record() {
    perf record --quiet -F 199 --call-graph dwarf,16384 --pid "$2" --output "$work/$1" 2>/dev/null &
    perfs+=($!)
}
perfs=()
if [ -n "${HEAP:-}" ]; then
    heaptrack --output "$work/heap" --pid "$service" >"$work/heaptrack" 2>&1 &
else
    [ -z "$service" ] || record service "$service"
    [ -z "${TEST_MYSQL_PID:-}" ] || record mysql "$TEST_MYSQL_PID"
fi
while kill -0 "${service:-$bench}" 2>/dev/null; do sleep 0.2; done
[ ${#perfs[@]} = 0 ] || kill -INT "${perfs[@]}" 2>/dev/null || true
wait $bench || { cat "$work/bench" >&2; exit 1; }
wait

mkdir -p docs/benchmarks/profiles
# draw NAME OPTIONS...: the picture of collapsed stacks. Types of types of types are no help: only the names of functions stay.
draw() {
    local picture=docs/benchmarks/profiles/$1.svg
    shift
    if sed -E ':again; s/<[^<>]*>//g; t again; s/::\{\{closure\}\}//g' | grep -E "${STACKS:-}" >"$work/drawn"; then
        inferno-flamegraph --minwidth 0.4 "$@" "$work/drawn" >"$picture"
        echo "profile: $picture" | tee -a "$work/pictures"
    fi
}
for of in service mysql; do
    [ -f "$work/$of" ] || continue
    perf script --input "$work/$of" --no-inline 2>/dev/null | inferno-collapse-perf --all 2>/dev/null |
        draw "$name-$of" --title "$name: $of" --subtitle "$*"
done
if [ -n "${HEAP:-}" ]; then
    heaptrack_print --file "$work"/heap.* --flamegraph-cost-type peak --print-flamegraph "$work/stacks" \
        --print-peaks 0 --print-allocators 0 --print-temporary 0 --print-leaks 0 >/dev/null
    draw "$name-service" --title "$name: memory of the service in use" --subtitle "$*" --countname bytes <"$work/stacks"
fi
[ -s "$work/pictures" ] || { echo "profile: FAILED: no stack matches ${STACKS:-}" >&2; exit 1; }
