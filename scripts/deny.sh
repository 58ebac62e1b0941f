#!/usr/bin/env bash
# Licences, duplicate crates, sources, yanked crates and advisories, as deny.toml says.
#
# The advisory database is a git repository. Where it cannot be reached, this says so and checks
# everything else; ADVISORIES=required turns that into a failure.
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.20.2
cache="${XDG_CACHE_HOME:-$HOME/.cache}/concert-reservation"
deny="$cache/tools/bin/cargo-deny"

if [ "$("$deny" --version 2>/dev/null || true)" != "cargo-deny $version" ]; then
    echo "deny: installing cargo-deny $version into $cache/tools, once (about 5 minutes on two cores)"
    cargo install cargo-deny --version "$version" --locked --quiet --force --root "$cache/tools"
fi

if "$deny" fetch db >/dev/null 2>&1; then
    exec "$deny" check
fi
if [ "${ADVISORIES:-}" = required ]; then
    echo "deny: FAILED: the advisory database is out of reach, and ADVISORIES=required" >&2
    exit 1
fi
echo "deny: NOTE: the advisory database is out of reach, so known vulnerabilities are NOT checked" \
    "in this run; licences, duplicates, sources and yanked crates are"
"$deny" check licenses bans sources

# cargo-deny looks for yanked crates only together with an advisory database; this stand-in has
# one entry, about a crate that does not exist. The folder's name is cargo-deny's for its default.
database="$cache/no-advisories/advisory-db-3157b0e258782691"
if [ ! -d "$database/.git" ]; then
    mkdir -p "$database/crates/stand-in"
    cat >"$database/crates/stand-in/RUSTSEC-2020-9999.md" <<'ADVISORY'
```toml
[advisory]
id = "RUSTSEC-2020-9999"
package = "stand-in"
date = "2020-01-01"

[versions]
patched = []
```

# Stand-in

No crate has this name.
ADVISORY
    git init --quiet --initial-branch main "$database"
    git -C "$database" add --all
    git -C "$database" -c user.name=stand-in -c user.email=stand-in@localhost commit --quiet -m stand-in
fi
config="$cache/no-advisories/deny.toml"
sed "s|^\[advisories\]\$|[advisories]\ndb-path = \"$cache/no-advisories\"|" deny.toml >"$config"
"$deny" --offline --config "$config" check advisories
