#!/usr/bin/env bash
# quantize.sh MODEL OUT: quantizes in CI, and says why when it does not.
#   CONFIG    what to make            (default int8_weight_only)
#   MIN_SQNR  worst matrix, in dB     (default 30)
# Leaves OUT and OUT.report (report.html, report.md, summary.json, tensors.csv,
# events.jsonl) and prints one line for the job's log. Exit codes are the
# tool's: 2 usage, 4 input, 5 quality, 6 a layer would be skipped, 7 disk.
set -euo pipefail
model=$1 out=$2
config=${CONFIG:-int8_weight_only} min_sqnr=${MIN_SQNR:-30}

# The gate: seconds, whatever the model's size, and nothing is written.
mantissa plan "$model" -c "$config" -o "$out" --json >"$out.plan.json"

# The same bytes on every machine and with every -j. A run that was killed
# leaves OUT.partial: --resume takes it up, and starts anew where there is none.
mantissa quantize "$model" -c "$config" -o "$out" --resume --no-progress \
  --min-sqnr "$min_sqnr" --json >"$out.result.json"

# Read back and compared with the manifest.
mantissa verify "$out" --json >"$out.verify.json"
echo "$out: quantized as $config, every matrix at $min_sqnr dB or better"
