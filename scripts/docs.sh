#!/usr/bin/env bash
# Documents that are made from the code: docs/API.md from what `concert openapi` prints,
# docs/ERD.md from the schema that the migrations make.
#   docs.sh check    fails if a committed one is not what would be made now
#   docs.sh update   writes them
set -euo pipefail
cd "$(dirname "$0")/.."

made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT

cargo build --quiet --locked -p concert-app --bin concert -p concert-docgen
docgen="${CARGO_TARGET_DIR:-target}/debug/concert-docgen"
concert="${CARGO_TARGET_DIR:-target}/debug/concert"
"$concert" openapi | "$docgen" api >"$made/API.md"
"$docgen" erd migrations/sqlite >"$made/ERD.md"

case "${1:-}" in
update) cp "$made"/*.md docs/ ;;
check)
    for name in API.md ERD.md; do
        diff -u "docs/$name" "$made/$name" || {
            echo "docs: FAILED: docs/$name is out of date; run: make docs-update" >&2
            exit 1
        }
    done
    echo "docs: docs/API.md and docs/ERD.md are what the code and the migrations say"
    ;;
*)
    echo "usage: $0 check|update" >&2
    exit 2
    ;;
esac
