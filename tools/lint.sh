#!/usr/bin/env bash
# lint.sh [--fast] [--fix]: the house rules that a machine can check.
#   --fast  layers, sizes, ASCII, words, Python's places (no clang)
#   --fix   also rewrite files with clang-format
# clang-tidy runs on the files that differ from MANTISSA_LINT_BASE (default: the
# fork point from main, or the last commit); MANTISSA_LINT_BASE=all takes all.
set -uo pipefail
cd "$(dirname "$0")/.."
failed=0

# report TITLE CHECK: what CHECK prints is a failure, shown below the title.
report() {
  local found
  found=$($2)
  [ -z "$found" ] && return
  printf 'lint: %s:\n' "$1"
  sed 's/^/  /' <<<"$found"
  failed=1
}

# files PATTERN...: tracked and new files that still exist.
files() {
  git ls-files -co --exclude-standard -- "$@" | while read -r file; do
    [ -f "$file" ] && printf '%s\n' "$file"
  done
}

cxx() { files '*.h' '*.cpp' '*.cuh' '*.cu'; }

# Includes point one way; see the awk program for the order of the rooms.
check_layers() {
  cxx | grep -E '^(src|include)/' | xargs -r awk -f tools/lint/layers.awk
}

check_sizes() {
  cxx | xargs -r awk -f tools/lint/sizes.awk
}

check_ascii() {
  files '*.h' '*.cpp' '*.cuh' '*.cu' '*.cmake' '*CMakeLists.txt' '*.sh' \
    '*.awk' '*.py' '*.md' '*.json' Makefile .ci/run ':!tests/golden' |
    LC_ALL=C xargs -r grep -nHP '[^\x00-\x7F]'
}

# Paths of one machine, hosts of registries, and TODOs without an issue.
check_words() {
  files ':!*.txt' ':!tests/golden' | xargs -r grep -nHIE \
    '(^|[^A-Za-z0-9_.])/(home|root|wor[k]|Users)/|py[p]i\.org|[p]ythonhosted'
  cxx | xargs -r grep -nHE '\b(TODO|FIXME|XXX)\b' | grep -vE 'TODO\(#[0-9]+\):'
}

# Outside these, everything is C++ and shell; docs/conf.py configures Sphinx.
check_python() {
  files '*.py' | grep -vE '^(tests/judges|bench/peers|tools/golden)/' |
    grep -vx docs/conf.py
}

check_scripts() {
  local file
  for file in $(files '*.sh' .ci/run); do
    bash -n "$file" 2>&1
    [ -x "$file" ] || echo "$file: not executable"
  done
}

check_format() {
  cxx | xargs -r clang-format-19 --dry-run --Werror 2>&1 |
    grep -E 'error:' | sed 's/: error.*//' | cut -d: -f1 | sort | uniq -c |
    awk '{print $2 ": " $1 " places differ from clang-format (lint.sh --fix)"}'
}

# changed: the C++ sources that clang-tidy looks at.
changed() {
  local base=${MANTISSA_LINT_BASE:-}
  if [ "$base" = all ]; then
    files 'src/*.cpp'
    return
  fi
  [ -n "$base" ] || base=$(git merge-base HEAD origin/main 2>/dev/null)
  [ -n "$base" ] && [ "$base" != "$(git rev-parse HEAD)" ] || base=HEAD~1
  { git diff --name-only "$base" -- 'src/*.cpp' &&
    git ls-files -o --exclude-standard -- 'src/*.cpp'; } | sort -u |
    while read -r file; do [ -f "$file" ] && printf '%s\n' "$file"; done
}

check_tidy() {
  if [ ! -e build/compile_commands.json ]; then
    echo "build/compile_commands.json is missing: run cmake --preset release"
    return
  fi
  changed | xargs -r -P "$(nproc)" -n 1 clang-tidy-19 -p build --quiet 2>&1 |
    grep -vE '^[0-9]+ warnings? (generated|treated)|^Suppressed|^Use -header'
}

fast=no
for option in "$@"; do
  case $option in
    --fast) fast=yes ;;
    --fix) cxx | xargs -r clang-format-19 -i ;;
    *)
      sed -n '2,7s/^# //p' "$0" >&2
      exit 2
      ;;
  esac
done

report "an include points the wrong way" check_layers
report "too long" check_sizes
report "not ASCII" check_ascii
report "words that do not belong here" check_words
report "Python outside tests/judges, bench/peers, tools/golden" check_python
report "scripts" check_scripts
if [ "$fast" = no ]; then
  report "format" check_format
  report "clang-tidy" check_tidy
fi
[ "$failed" = 0 ] && echo "lint: nothing found"
exit $failed
