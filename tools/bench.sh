#!/usr/bin/env bash
# bench.sh [ARG...]: runs every benchmark of the bench preset with ARG.
set -euo pipefail
cd "$(dirname "$0")/.."
found=no
for bench in build-bench/bin/bench_*; do
  [ -x "$bench" ] || continue
  found=yes
  "$bench" "$@"
done
[ "$found" = yes ] || echo "bench: this version has no benchmarks"
