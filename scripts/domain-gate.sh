#!/usr/bin/env bash
# Keeps the domain crate pure. Goes red when it
#   1. depends directly on a crate that is not in crates/domain/dependencies.allow,
#   2. has an HTTP, runtime, database or random-number crate anywhere below it,
#   3. calls a clock, random numbers, the environment or IO (crates/domain/clippy.toml).
# The crate is looked at alone: in a workspace build other crates switch on features of shared
# dependencies, and a forbidden call would compile without anybody having asked for it here.
set -euo pipefail
cd "$(dirname "$0")/.."

allowed=crates/domain/dependencies.allow
forbidden='^(tokio|async-std|smol|mio|actix.*|axum.*|hyper.*|reqwest|h2|http|diesel.*|rusqlite|libsqlite3-sys|sqlx.*|mysql.*|redis|deadpool.*|rskafka|rdkafka|rand|rand_.*|getrandom|fastrand)$'

fail() {
    echo "domain gate: FAILED: $1" >&2
    exit 1
}

# names DEPTH...: the crates below the domain crate, one name per line, itself left out.
names() {
    cargo tree --locked -p concert-domain -e normal --target all --prefix none --format '{p}' "$@" |
        awk 'NR > 1 { print $1 }' | sort -u
}

direct=$(names --depth 1)
if ! difference=$(diff --unchanged-line-format= --old-line-format='gone: %L' \
    --new-line-format='new:  %L' <(sort -u "$allowed") <(echo "$direct")); then
    echo "$difference" >&2
    fail "direct dependencies of crates/domain differ from $allowed.
The domain needs no runtime and no IO crate: reach the world through a port. If the new crate is
pure and worth it, write an ADR and add its name to $allowed (remove what is gone)."
fi

if below=$(names | grep -E "$forbidden"); then
    echo "$below" >&2
    fail "the crates above do IO or draw random numbers and lie below crates/domain.
Find out who brings them: cargo tree -p concert-domain -e normal -i NAME"
fi

cargo clippy --quiet --locked -p concert-domain --lib -- -D warnings ||
    fail "clippy, see above. Time, randomness, configuration and IO come through ports."

echo "domain gate: $(wc -l <<<"$direct" | tr -d ' ') direct dependencies, all allowed; no IO below; no forbidden call"
