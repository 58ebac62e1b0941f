#!/usr/bin/env bash
# Runs every fuzz target for a bounded time (FUZZ_SECONDS, 30 each), or those that are named. Needs a nightly compiler;
# cargo-fuzz is installed into the user's cache folder, once.
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.13.2
seconds=${FUZZ_SECONDS:-30}
cache="${XDG_CACHE_HOME:-$HOME/.cache}/concert-reservation"
export PATH="$cache/tools/bin:$PATH"

if ! rustup run nightly rustc --version >/dev/null 2>&1; then
    echo "fuzz: FAILED: there is no nightly compiler; run: rustup toolchain install nightly --profile minimal" >&2
    exit 1
fi
if [ "$(cargo-fuzz --version 2>/dev/null || true)" != "cargo-fuzz $version" ]; then
    echo "fuzz: installing cargo-fuzz $version into $cache/tools, once"
    cargo install cargo-fuzz --version "$version" --locked --quiet --force --root "$cache/tools"
fi

targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(basename -s .rs fuzz/fuzz_targets/*.rs)
# A debug build, for its assertions and overflow checks; all code of ours is safe Rust, so a sanitizer would only make
# it slow.
# The same versions as everywhere else; what only the fuzz crate needs is added.
cp Cargo.lock fuzz/Cargo.lock
cargo +nightly fuzz build --dev --sanitizer none
for target in "${targets[@]}"; do
    mkdir -p "fuzz/corpus/$target"
    echo "fuzz: $target for $seconds s"
    cargo +nightly fuzz run --dev --sanitizer none "$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -- \
        -max_total_time="$seconds" -max_len=4096 -timeout=10 -dict=fuzz/json.dict -print_final_stats=1 2>&1 |
        tail -n 25 | tee "fuzz/corpus/$target.log" | grep -E 'number_of_executed_units|panicked|SUMMARY|Test unit written' || true
    if grep -qE 'SUMMARY|Test unit written' "fuzz/corpus/$target.log"; then
        cat "fuzz/corpus/$target.log" >&2
        echo "fuzz: FAILED: $target; see fuzz/README.md" >&2
        exit 1
    fi
done
echo "fuzz: nothing found by ${targets[*]}"
