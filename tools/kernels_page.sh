#!/usr/bin/env bash
# kernels_page.sh MANTISSA: prints docs/kernels.md, from the tool's own tables.
set -euo pipefail
cat <<'TEXT'
# Kernels

Every operator has a table of kernels in order of preference. The first row that
accepts the problem and the machine runs; the last one (`ref`) accepts
everything and defines the result, and all others give the same bits; those of
bfloat16 activations (`linear_lowbit_bf16`, `attention_bf16`), whose instructions
add in another order, are within a bound of it that comes from the inputs.

Low-bit weights have a table for each kind of activations, in whose names `ixg` stands
for codes of 1 to 8 bits and float8, with or without groups: the width is a field of the
problem.

`MANTISSA_KERNEL=op=name` has a row asked first. What the machine cannot run is an
error before work begins; what the row does not take (a dtype, a size) goes to the
rows below it. `MANTISSA_CPU=scalar|avx2|avx512|avx512vnni|amx` caps the
instruction set: `avx512vnni` has VNNI and no tiles, `amx` everything.

The tiles of AMX serve int8 products of 32 rows or more, those with low-bit weights
(`linear_lowbit`) only where a scale of weights and of activations stands for 64
values or more: with `int8-g32`, the default of `generate`, they never run. bfloat16
products (`linear_lowbit_bf16`) take them from 5 rows on, whatever the groups. Below
that the next row of the table runs. Attention over bfloat16 (`attention_bf16`) takes
them for any number of queries.

Written by `tools/kernels_page.sh`; a test compares it with the tool.

TEXT
"$1" kernels --markdown
