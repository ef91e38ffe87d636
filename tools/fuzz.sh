#!/usr/bin/env bash
# fuzz.sh [SECONDS]: builds the fuzz targets and runs each (default 60 s). A
# crash leaves its input in build-fuzz/crashes.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}

cmake --preset fuzz --log-level=WARNING >build-fuzz.log 2>&1 || {
  cat build-fuzz.log
  exit 1
}
rm -f build-fuzz.log
cmake --build --preset fuzz -j "$(nproc)" --target fuzz_targets
mkdir -p build-fuzz/crashes
for target in build-fuzz/bin/fuzz_*; do
  name=$(basename "$target")
  corpus=build-fuzz/corpus/$name
  mkdir -p "$corpus"
  seeds=tests/fuzz/seeds/${name#fuzz_}
  echo "fuzz: $name, $seconds s"
  "$target" -max_total_time="$seconds" -max_len=8192 -timeout=10 \
    -rss_limit_mb=2048 -print_final_stats=1 -verbosity=0 \
    -artifact_prefix=build-fuzz/crashes/ "$corpus" "$seeds" \
    >"$corpus.log" 2>&1 || {
    tail -40 "$corpus.log"
    exit 1
  }
  grep -E 'number_of_executed_units|new_units_added' "$corpus.log"
done
echo "fuzz: nothing found"
