#!/usr/bin/env bash
# fuzz.sh [SECONDS [TARGET...]]: builds the fuzz targets and runs each (default:
# all, 60 s). Inputs that are worth keeping gather in build-fuzz/corpus; one
# that breaks a promise ends the run and lies in build-fuzz/crashes.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
[ $# -eq 0 ] || shift
build=build-fuzz

cmake --preset fuzz --log-level=WARNING >$build.log 2>&1 || {
  cat $build.log
  exit 1
}
rm -f $build.log
cmake --build --preset fuzz -j "$(nproc)" --target fuzz_targets
rm -rf $build/seeds
$build/bin/fuzz_write_seeds $build/seeds
mkdir -p $build/crashes

# An input is at most 5 MB and must take less than 5 s, nor ask for more
# than 256 MiB at once; a limit on the whole process would count the corpus and
# what the sanitizers keep.
export ASAN_OPTIONS=quarantine_size_mb=16:malloc_context_size=10
limits=(-max_len=5000000 -timeout=5 -malloc_limit_mb=256 -rss_limit_mb=1536)

# fuzz TARGET: one run, its figures in two lines.
fuzz() {
  local name=$1
  local corpus=$build/corpus/$name
  local inputs=("$corpus" $build/seeds/"$name")
  mkdir -p "$corpus"
  [ ! -d tests/fuzz/seeds/"$name" ] || inputs+=(tests/fuzz/seeds/"$name")
  echo "fuzz: $name, $seconds s"
  $build/bin/fuzz_"$name" -max_total_time="$seconds" "${limits[@]}" \
    -dict=tests/fuzz/dictionaries/"$name".dict -print_final_stats=1 \
    -verbosity=0 -artifact_prefix=$build/crashes/ "${inputs[@]}" \
    >"$corpus.log" 2>&1 || {
    tail -40 "$corpus.log"
    exit 1
  }
  grep -E 'number_of_executed_units|peak_rss_mb' "$corpus.log"
}

[ $# -gt 0 ] || set -- $(ls $build/seeds)
for target; do fuzz "$target"; done
echo "fuzz: nothing found"
