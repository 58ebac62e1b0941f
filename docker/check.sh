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
echo "docker/check.sh: the containers have the versions that the tests use"
