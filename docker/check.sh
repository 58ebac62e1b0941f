#!/usr/bin/env bash
# Fails if the containers and the tests would not run the same versions.
set -euo pipefail
cd "$(dirname "$0")/.."

# same WHAT TESTED CONTAINER
same() {
    if [ -z "$2" ] || [ "$2" != "$3" ]; then
        echo "docker/check.sh: FAILED: $1 is ${2:-unknown} in the tests and ${3:-unknown} in docker/" >&2
        exit 1
    fi
}
tested() { sed -n "s/^$1_version=//p" scripts/services.d/install.sh; }
image() { sed -nE "s|^ +image: $1:(.+)|\1|p" docker/compose.yml; }

same Rust "$(sed -nE 's/^channel = "(.*)"/\1/p' rust-toolchain.toml)" \
    "$(sed -n 's/^ARG RUST_VERSION=//p' docker/Dockerfile)"
same MySQL "$(tested mysql)" "$(image mysql)"
same Redis "$(tested redis)" "$(image redis)"
same Kafka "$(tested kafka)" "$(image apache/kafka)"

# What no test runs on is at least one version, not whatever is there.
for name in prom/prometheus grafana/grafana nginx; do
    [[ "$(image "$name")" =~ ^v?[0-9]+\.[0-9]+ ]] || {
        echo "docker/check.sh: FAILED: $name has no fixed version" >&2
        exit 1
    }
done

# Every alert has its section, and every section its alert.
alerts=$(sed -nE 's/^ +- alert: (.+)/\1/p' docker/prometheus/rules.yml | sort)
sections=$(sed -n '/^## Alerts$/,/^## /{s/^### //p}' docs/OPERATIONS.md | sort)
if [ "$alerts" != "$sections" ]; then
    diff <(echo "$alerts") <(echo "$sections") >&2 || true
    echo "docker/check.sh: FAILED: alerts (<) and their sections in docs/OPERATIONS.md (>) differ" >&2
    exit 1
fi
if command -v promtool >/dev/null; then
    promtool check rules docker/prometheus/rules.yml >&2
    (cd docker/prometheus && promtool test rules rules.test.yml >&2)
fi
echo "docker/check.sh: the containers have the versions that the tests use"
