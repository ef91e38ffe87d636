#!/usr/bin/env bash
# kernels_page.sh MANTISSA: prints docs/kernels.md, from the tool's own tables.
set -euo pipefail
cat <<'TEXT'
# Kernels

Every operator has a table of kernels in order of preference. The first row that
accepts the problem and the machine runs; the last one (`ref`) accepts
everything and defines the result, and all others give the same bits.
`MANTISSA_KERNEL=op=name` forces a row, `MANTISSA_CPU=scalar|avx2|avx512|amx`
caps the instruction set (`amx` leaves all of it). The tiles of AMX serve 32 rows
or more; below that the next row of the table runs.

Written by `tools/kernels_page.sh`; a test compares it with the tool.

TEXT
"$1" kernels --markdown
