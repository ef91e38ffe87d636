#!/usr/bin/env bash
# consumer.sh CMAKE BUILD_DIR WORK_DIR CXX: installs into a fresh prefix, builds
# the project in consumer/ against it with nothing but the prefix, and runs it.
set -euo pipefail
cmake=$1 build=$2 work=$3 cxx=$4
here=$(cd "$(dirname "$0")" && pwd)

rm -rf "$work"
mkdir -p "$work"
"$cmake" --install "$build" --prefix "$work/prefix" >"$work/install.log"

# Nobody's package files but ours: the private dependencies stay private.
"$cmake" -S "$here/consumer" -B "$work/build" -DCMAKE_CXX_COMPILER="$cxx" \
  -DCMAKE_PREFIX_PATH="$work/prefix" -DCMAKE_BUILD_TYPE=Release \
  -DCMAKE_DISABLE_FIND_PACKAGE_PkgConfig=ON \
  -DCMAKE_DISABLE_FIND_PACKAGE_fmt=ON \
  -DCMAKE_DISABLE_FIND_PACKAGE_nlohmann_json=ON
"$cmake" --build "$work/build"
"$work/build/consumer"

# The same through pkg-config, from a prefix that has moved.
mv "$work/prefix" "$work/moved"
export PKG_CONFIG_LIBDIR
PKG_CONFIG_LIBDIR=$(dirname "$(find "$work/moved" -name mantissa.pc)")
# shellcheck disable=SC2046
"$cxx" -std=c++20 "$here/consumer/main.cpp" -o "$work/by_pkg_config" \
  $(pkg-config --cflags --libs mantissa)
"$work/by_pkg_config"
mv "$work/moved" "$work/prefix"

# The installed headers speak of nothing private.
if grep -rnE --exclude-dir=torch '#include *[<"](fmt|nlohmann|re2|xxhash|pcre2|utf8proc|CLI|torch|ATen|c10)' \
    "$work/prefix/include"; then
  echo "an installed header includes a private dependency" >&2
  exit 1
fi
# No path of this build is left in the package files.
if grep -rn "$build" "$work/prefix/lib"*/cmake "$work/prefix/lib"*/pkgconfig; then
  echo "the package files name the build folder" >&2
  exit 1
fi
"$work/prefix/bin/mantissa" --version
