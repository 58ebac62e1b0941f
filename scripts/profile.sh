#!/usr/bin/env bash
# Where the processor time of a benchmark goes: flame graphs of the service and of MySQL, for a browser.
#
#   scripts/services run -- scripts/profile.sh NAME PART [OPTIONS]
#   scripts/services run -- scripts/profile.sh reads http --only reads --clients 32
#   scripts/services run -- scripts/profile.sh journey journey
#
# PART and OPTIONS are those of scripts/bench.sh. The pictures go to docs/benchmarks/profiles/. Needs perf
# (linux-perf), inferno (cargo install inferno), and a release build that knows its lines:
#   CARGO_PROFILE_RELEASE_DEBUG=line-tables-only cargo build --release -p concert-app
set -euo pipefail
cd "$(dirname "$0")/.."

name=${1:?usage: $0 NAME PART [OPTIONS]}
shift
for tool in perf inferno-collapse-perf inferno-flamegraph; do
    command -v "$tool" >/dev/null || { echo "profile: FAILED: $tool is missing (see $0)" >&2; exit 1; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

scripts/bench.sh "$@" >"$work/bench" 2>&1 &
bench=$!
# The first start of the service brings its database to its version and ends; a second is measured.
service=""
while kill -0 $bench 2>/dev/null; do
    now=$(pgrep -f 'concert serve$' | head -1 || true)
    if [ -n "$now" ] && [ "$now" = "$service" ]; then
        break
    fi
    service=$now
    sleep 1
done
[ -n "$service" ] || { cat "$work/bench" >&2; echo "profile: FAILED: no service was seen" >&2; exit 1; }

# Until the service ends: perf ends with it.
record() { perf record --quiet -F 199 --call-graph dwarf,16384 --pid "$2" --output "$work/$1" 2>/dev/null & }
record service "$service"
perfs=($!)
if [ -n "${TEST_MYSQL_PID:-}" ]; then
    record mysql "$TEST_MYSQL_PID"
    perfs+=($!)
fi
while kill -0 "$service" 2>/dev/null; do sleep 0.2; done
kill -INT "${perfs[@]}" 2>/dev/null || true
wait "${perfs[@]}" || true
wait $bench || { cat "$work/bench" >&2; exit 1; }

mkdir -p docs/benchmarks/profiles
for of in service mysql; do
    [ -f "$work/$of" ] || continue
    picture=docs/benchmarks/profiles/$name-$of.svg
    # Types of types of types are no help: only the names of functions stay.
    perf script --input "$work/$of" --no-inline 2>/dev/null | inferno-collapse-perf --all 2>/dev/null |
        sed -E ':again; s/<[^<>]*>//g; t again; s/::\{\{closure\}\}//g' |
        inferno-flamegraph --minwidth 0.4 --title "$name: $of" --subtitle "$*" >"$picture"
    echo "profile: $picture"
done
