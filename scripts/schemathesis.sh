#!/usr/bin/env bash
# Hard input, made by schemathesis from the service's own OpenAPI document: no answer may be a 500, or other than the
# document says. Every check is on (schemathesis.toml); the seed is fixed, the time bounded (SCHEMATHESIS_SECONDS, 60).
#   schemathesis.sh embedded   the embedded engine
#   schemathesis.sh full       MySQL, Redis and Kafka: those of `scripts/services run`, or of DATABASE_URL, REDIS_URL
#                              and KAFKA_BROKERS (scripts/services up); it leaves rows behind
#
# schemathesis comes from PyPI into a virtual environment below target/, once.
set -euo pipefail
cd "$(dirname "$0")/.."

version=4.32.5
seconds=${SCHEMATHESIS_SECONDS:-60}
target=${CARGO_TARGET_DIR:-target}
tool=$target/schemathesis/bin/schemathesis
kind=${1:-}
case $kind in
embedded | full) ;;
*)
    echo "usage: $0 embedded|full" >&2
    exit 2
    ;;
esac

fail() {
    echo "schemathesis: FAILED: $1" >&2
    exit 1
}

if [ "$("$tool" --version 2>/dev/null | grep -oE '[0-9.]+$' || true)" != "$version" ]; then
    echo "schemathesis: installing $version below $target, once"
    python3 -m venv --clear "$target/schemathesis" >/dev/null ||
        fail "python3 cannot make a virtual environment; install it with its venv module"
    "$target/schemathesis/bin/pip" install --quiet --disable-pip-version-check --retries 2 --timeout 20 "schemathesis==$version" ||
        fail "schemathesis $version cannot be installed; PyPI, or the mirror that pip is configured for, must be within reach"
fi
cargo build --quiet --locked -p concert-app --bin concert

dir=$(mktemp -d)
service=
trap '[ -z "$service" ] || { kill "$service"; wait "$service" || true; }; rm -rf "$dir"' EXIT

if [ "$kind" = full ]; then
    if [ -n "${TEST_MYSQL_URL:-}" ]; then
        export DATABASE_URL=$TEST_MYSQL_URL REDIS_URL=$TEST_REDIS_URL KAFKA_BROKERS=$TEST_KAFKA_BROKERS
    fi
    [[ ${DATABASE_URL:-} == mysql:* && -n ${REDIS_URL:-} && -n ${KAFKA_BROKERS:-} ]] ||
        fail "MySQL, Redis and Kafka are not named; run: scripts/services run -- $0 full"
    engines=(DATABASE_URL="$DATABASE_URL" REDIS_URL="$REDIS_URL" KAFKA_BROKERS="$KAFKA_BROKERS")
else
    engines=(DATABASE_URL="sqlite:$dir/concert.db" REDIS_URL= KAFKA_BROKERS=)
fi
env "${engines[@]}" SEED_DEMO=true HTTP_ADDR=127.0.0.1:0 AUTH_MODE=trusted RATE_LIMIT=off \
    "$target/debug/concert" serve >"$dir/service.log" 2>&1 &
service=$!
address=
for _ in $(seq 300); do
    address=$(grep -oE 'listening on http://[0-9.:]+' "$dir/service.log" | cut -d/ -f3 || true)
    [ -z "$address" ] || break
    kill -0 "$service" 2>/dev/null || break
    sleep 0.1
done
[ -n "$address" ] || { cat "$dir/service.log" >&2; fail "the service does not start"; }

if ! "$tool" --config-file schemathesis.toml run "http://$address/openapi.json" --no-color \
    --seed 1 --workers 1 --max-time "$seconds" --continue-on-failure --header 'X-User-Id: 7' \
    --generation-database none --report-dir "$dir/report" >"$dir/report.txt" 2>&1; then
    cat "$dir/report.txt"
    fail "see above; this was the $kind engine"
fi
kill -0 "$service" 2>/dev/null || { tail -n 50 "$dir/service.log" >&2; fail "the service ended"; }
if grep -n "panicked at" "$dir/service.log" >&2; then
    fail "the service panicked, see above"
fi
grep -E 'generated' "$dir/report.txt" || true
echo "schemathesis: no failure on the $kind engine"
