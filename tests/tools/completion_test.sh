#!/usr/bin/env bash
# completion_test.sh MANTISSA: what the shells' own completion makes of the
# scripts. zsh and fish are asked where they are installed.
set -uo pipefail
tool=$1 failed=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
touch "a model.gguf"

# expect TITLE WANTED ACTUAL: WANTED is a word that must stand in ACTUAL.
expect() {
  case $'\n'"$3"$'\n' in
  *$'\n'"$2"$'\n'*) ;;
  *)
    printf '%s: no %s in:\n%s\n' "$1" "$2" "$3" >&2
    failed=1
    ;;
  esac
}

source <("$tool" completion bash) || failed=1
# ask WORD...: completes the last word.
ask() {
  COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
  _mantissa
  reply=$(printf '%s\n' "${COMPREPLY[@]}")
}
ask mantissa q
expect "bash: commands" quantize "$reply"
ask mantissa quantize --gro
expect "bash: options" --group-size "$reply"
ask mantissa quantize model -c int8
expect "bash: configs" int8_weight_only "$reply"
ask mantissa quantize --dtype bf
expect "bash: choices" bfloat16 "$reply"
[ "$reply" = bfloat16 ] || { echo "bash: more than choices: $reply" >&2; failed=1; }
ask mantissa plan a
expect "bash: files" "a model.gguf" "$reply"
ask mantissa completion f
expect "bash: positional" fish "$reply"

if command -v zsh >/dev/null; then
  "$tool" completion zsh >_mantissa
  zsh -n _mantissa || failed=1
  # press WORDS SECONDS: what zsh makes of WORDS and a tab within that time, in a
  # terminal of its own.
  press() {
    zsh -fc '
      zmodload zsh/zpty
      zpty shell zsh -fi
      zpty -w shell "PS1=READY; fpath=($PWD \$fpath); autoload -U compinit"
      zpty -w shell "compinit -u -D; bindkey \"^I\" complete-word"
      zpty -w -n shell "$1"$'"'\\t'"'
      sleep "$2"
      zpty -w -n shell $'"'\\n'"'
      while zpty -r -t shell line; do print -r -- $line; done
      zpty -d shell' zsh "$1" "$2" 2>&1
  }
  # zsh_expect WORDS WANTED: WANTED is what the tab must make of the last word.
  zsh_expect() {
    local answer wait
    for wait in 2 8 20; do  # a busy machine is slow to answer
      answer=$(press "$1" $wait)
      [[ $answer != *"$2"* ]] || return 0
    done
    echo "zsh: '$1' and a tab: no $2 in: $answer" >&2
    failed=1
  }
  zsh_expect 'mantissa quantize --allow-non' --allow-nonfinite
  zsh_expect 'mantissa quantize -c float8_w' float8_weight_only
  zsh_expect 'mantissa doc' doctor
else
  echo "zsh is not installed: not asked"
fi

if command -v fish >/dev/null; then
  "$tool" completion fish >mantissa.fish
  answer=$(fish --no-config -c 'source mantissa.fish
    complete -C "mantissa quantize --gro"; complete -C "mantissa q"
    complete -C "mantissa quantize -c int8_w"' | cut -f1)
  expect "fish: options" --group-size "$answer"
  expect "fish: commands" quantize "$answer"
  expect "fish: configs" int8_weight_only "$answer"
else
  echo "fish is not installed: not asked"
fi
exit $failed
