#!/usr/bin/env bash
# tool.sh MANTISSA: the tool needs the C++ run time alone, and starts at once.
set -euo pipefail
tool=$1

libraries=$(ldd "$tool" | awk '{print $1}')
echo "$libraries"
for library in $libraries; do
  case $(basename "$library") in
    linux-vdso.so.* | ld-linux-*.so.* | libc.so.* | libm.so.*) ;;
    libstdc++.so.* | libgcc_s.so.* | libpthread.so.* | libdl.so.*) ;;
    *)
      echo "$tool needs $library" >&2
      exit 1
      ;;
  esac
done

# The best of ten: a loaded machine must not fail this.
best=1000000
for _ in 1 2 3 4 5 6 7 8 9 10; do
  begin=$(date +%s%N)
  "$tool" --help >/dev/null
  end=$(date +%s%N)
  micros=$(((end - begin) / 1000))
  [ "$micros" -ge "$best" ] || best=$micros
done
echo "mantissa --help: $best us"
[ "$best" -lt 50000 ]
