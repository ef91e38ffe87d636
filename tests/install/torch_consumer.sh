#!/usr/bin/env bash
# torch_consumer.sh CMAKE BUILD_DIR WORK_DIR CXX: installs into a fresh prefix,
# builds the project in torch_consumer/ against mantissa::mantissa and runs it.
set -euo pipefail
cmake=$1 build=$2 work=$3 cxx=$4
here=$(cd "$(dirname "$0")" && pwd)

rm -rf "$work"
mkdir -p "$work"
"$cmake" --install "$build" --prefix "$work/prefix" >"$work/install.log"
"$cmake" -S "$here/torch_consumer" -B "$work/build" \
  -DCMAKE_CXX_COMPILER="$cxx" -DCMAKE_PREFIX_PATH="$work/prefix" \
  -DCMAKE_BUILD_TYPE=Release
"$cmake" --build "$work/build"
"$work/build/torch_consumer" "$work/saved"

# Many programs link libtorch.so too, which exports functions of libstdc++.
"$cmake" -S "$here/torch_consumer" -B "$work/libtorch" \
  -DCMAKE_CXX_COMPILER="$cxx" -DCMAKE_PREFIX_PATH="$work/prefix" \
  -DCMAKE_BUILD_TYPE=Release -DCONSUMER_LINKS_LIBTORCH=ON
"$cmake" --build "$work/libtorch"
readelf -d "$work/libtorch/torch_consumer" | grep -q 'libtorch\.so'
"$work/libtorch/torch_consumer" "$work/saved_libtorch"

# The tool finds its second half in the prefix.
case $("$work/prefix/bin/mantissa" eval "$work" --text "$0" 2>&1 || true) in
  *"no torch half"* | *"shared librar"* | "") echo "eval does not start" >&2; exit 1 ;;
esac

# Where there is no libtorch, the message says what to set, and the core half is
# found all the same.
if "$cmake" -S "$here/torch_consumer" -B "$work/none" \
    -DCMAKE_CXX_COMPILER="$cxx" -DCMAKE_PREFIX_PATH="$work/prefix" \
    -DMANTISSA_TORCH=/nonexistent >"$work/none.log" 2>&1; then
  echo "found a libtorch that is not there" >&2
  exit 1
fi
grep -q "set MANTISSA_TORCH" "$work/none.log"
"$cmake" -S "$here/consumer" -B "$work/core" \
  -DCMAKE_CXX_COMPILER="$cxx" -DCMAKE_PREFIX_PATH="$work/prefix" \
  -DMANTISSA_TORCH=/nonexistent >"$work/core.log"
