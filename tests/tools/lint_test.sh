#!/usr/bin/env bash
# lint_test.sh SOURCE_DIR WORK_DIR: plants one breach of each rule in a small
# repository and expects tools/lint.sh --fast to name it.
set -euo pipefail
source=$1 work=$2

rm -rf "$work"
mkdir -p "$work"
cp -r "$source/tools" "$work/tools"
cd "$work"
git init -q .
tools/lint.sh --fast || { echo "the bare copy is not clean" >&2; exit 1; }

# plant FILE EXPECTED: FILE holds standard input; lint must say EXPECTED.
plant() {
  mkdir -p "$(dirname "$1")"
  cat >"$1"
  if tools/lint.sh --fast >found.log; then
    echo "not found in $1: $2" >&2
    exit 1
  fi
  grep -qF "$2" found.log || { cat found.log; echo "wanted: $2" >&2; exit 1; }
  rm "$1"
}

plant src/core/a.cpp 'core includes formats: formats/registry.h' <<'TEXT'
#include <mantissa/formats/registry.h>
TEXT
plant src/kernels/a.h 'kernels includes cli' <<'TEXT'
#include "cli/options.h"
TEXT
plant src/text/a.cpp 'text includes kernels' <<'TEXT'
#include "kernels/caps.h"
TEXT
plant src/configs/a.cpp 'libtorch header outside the torch half' <<'TEXT'
#include <ATen/core/Tensor.h>
TEXT
plant include/mantissa/core/a.h 'private header in a public one' <<'TEXT'
#include <fmt/format.h>
TEXT
plant src/attic/a.cpp "unknown room 'attic'" <<'TEXT'
int attic();
TEXT
{
  echo 'int f() {'
  for _ in $(seq 70); do echo '  g();'; done
  echo '}'
} | plant src/core/a.cpp '72 lines, 60 at most'
seq 801 | sed 's|^|// |' | plant src/core/a.cpp '801 lines, 800 is the end'
printf '// caf\303\251\n' | plant src/core/a.cpp 'not ASCII'
printf '// see /%s/x\n' home | plant src/core/a.cpp 'words that do not belong'
printf '// TODO: later\n' | plant src/core/a.cpp 'words that do not belong'
printf 'x = 1\n' | plant src/core/a.py 'Python outside'
printf 'if\n' | plant tools/a.sh 'syntax error'
tools/lint.sh --fast
