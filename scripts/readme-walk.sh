#!/usr/bin/env bash
# Keeps the README's walk true: runs its commands, as printed, against a fresh service on a free
# port and compares the answers with the printed ones. Tokens, dates, times and waits are not compared.
#   readme-walk.sh check    fails if an answer differs
#   readme-walk.sh print    prints the answers
set -euo pipefail
cd "$(dirname "$0")/.."

dir=$(mktemp -d)
service=
trap '[ -z "$service" ] || { kill "$service"; wait "$service" || true; }; rm -rf "$dir"' EXIT

# blocks KIND: the contents of the code blocks of this kind in the section about buying.
blocks() {
    awk -v fence="\`\`\`$1" '
        /^## / { here = $0 == "## Buying a seat" }
        /^```/ { inside = here && $0 == fence; next }
        inside' README.md
}

unstable='s/"estimatedWaitTime":[0-9]+/WAIT/g; s/[0-9a-f]{32}/TOKEN/g; s/[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9:.]+Z)?/TIME/g'

cargo build --quiet --locked -p concert-app --bin concert
SEED_DEMO=true HTTP_ADDR=127.0.0.1:0 DATABASE_URL="sqlite:$dir/concert.db" \
    "${CARGO_TARGET_DIR:-target}/debug/concert" serve >"$dir/service.log" 2>&1 &
service=$!
for _ in $(seq 100); do
    address=$(grep -oE 'listening on http://[0-9.:]+' "$dir/service.log" | cut -d/ -f3 || true)
    [ -z "$address" ] || break
    kill -0 "$service" 2>/dev/null || break
    sleep 0.1
done
[ -n "$address" ] || { cat "$dir/service.log" >&2; exit 1; }

blocks sh | sed "s/127\.0\.0\.1:8080/$address/" | sh -eu >"$dir/answers"
case "${1:-}" in
print) cat "$dir/answers" ;;
check)
    diff -u --label README.md <(blocks json | sed -E "$unstable") \
        --label 'the service' <(sed -E "$unstable" "$dir/answers") || {
        echo "readme-walk: FAILED: the answers are not what the README shows" >&2
        exit 1
    }
    echo "readme-walk: the commands of the README answer what it shows"
    ;;
*)
    echo "usage: $0 check|print" >&2
    exit 2
    ;;
esac
