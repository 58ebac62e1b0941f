#!/usr/bin/env bash
# Documents that are made from the code: docs/API.md from what `concert openapi` prints,
# docs/ERD.md from the schema that the migrations make.
#   docs.sh check    fails if a committed one is not what would be made now, or if the pages
#                    written by hand name what does not exist
#   docs.sh update   writes the made ones
set -euo pipefail
cd "$(dirname "$0")/.."

made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT

cargo build --quiet --locked -p concert-app -p concert-docgen --bin concert --bin concert-docgen
bin="${CARGO_TARGET_DIR:-target}/debug"
"$bin/concert" openapi | "$bin/concert-docgen" api >"$made/API.md"
"$bin/concert-docgen" erd migrations/sqlite >"$made/ERD.md"

case "${1:-}" in
update)
    cp "$made"/*.md docs/
    ;;
check)
    for name in API.md ERD.md; do
        diff -u "docs/$name" "$made/$name" || {
            echo "docs: FAILED: docs/$name is out of date; run: make docs-update" >&2
            exit 1
        }
    done
    scripts/docs-names.sh "$bin/concert"
    echo "docs: what is made from the code is up to date, and what the pages name exists"
    ;;
*)
    echo "usage: $0 check|update" >&2
    exit 2
    ;;
esac
