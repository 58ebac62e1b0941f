#!/usr/bin/env bash
# Fails if the pages written by hand name, in code type, a file, a test or a metric that does not
# exist, or if a setting of `concert serve` is missing where settings are listed.
#   docs-names.sh PATH-OF-CONCERT
set -euo pipefail
cd "$(dirname "$0")/.."

concert=$1
pages=(README.md CONTRIBUTING.md docker/README.md docs/{ARCHITECTURE,TESTING,OPERATIONS,THREAT_MODEL,GATEWAY}.md docs/adr/*.md)
settings=$("$concert" serve --help | grep -oE '\[env: [A-Z_]+' | cut -c7-)
[ -n "$settings" ]

# words PATTERN: what the pages have between single backticks, if it looks like this.
words() {
    grep -ohE "\`$1\`" "${pages[@]}" | tr -d '`' | sort -u
}

missing=$(
    for name in $(words '[a-z_.-]+(/[A-Za-z0-9_.*-]+)+'); do
        case "$name" in
            target/* | var/* | docker/.env) continue ;;   # made later
            apache/kafka | *[A-Z][A-Z][A-Z]*) continue ;; # an image, a placeholder
        esac
        compgen -G "$name" >/dev/null || compgen -G "crates/$name" >/dev/null || echo "no file $name"
    done
    for name in $(words '[a-z0-9]+(_[a-z0-9]+){3,}'); do
        grep -rqE --include='*.rs' --include='*.sql' "(fn|INDEX) $name\b|!\(\"$name\"" crates tests migrations ||
            echo "no test, function, index or metric $name"
    done
    for name in $settings; do
        grep -q "\`$name\`" docs/OPERATIONS.md || echo "$name is not in docs/OPERATIONS.md"
        grep -qE "^#?$name=" .env.example || echo "$name is not in .env.example"
    done
)
if [ -n "$missing" ]; then
    echo "$missing" >&2
    echo "docs: FAILED: pages name what does not exist, or lack what does" >&2
    exit 1
fi
