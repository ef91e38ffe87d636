#!/bin/sh
# run.sh PYTHON SCRIPT [ARG...]: runs a judge, or skips it with the reason.
python=$1
shift
if [ -z "$python" ] || [ ! -x "$python" ]; then
  echo "skipped: no judge interpreter (tools/setup.sh --judge makes one)"
  exit 77
fi
export HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false PYTHONDONTWRITEBYTECODE=1
unset ATEN_CPU_CAPABILITY
exec "$python" "$@"
