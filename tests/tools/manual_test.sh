#!/usr/bin/env bash
# manual_test.sh MANTISSA: the manual page is roff that a formatter takes without
# a warning, and holds every command.
set -uo pipefail
tool=$1 failed=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
page=$work/mantissa.1
"$tool" manual >"$page" || exit 1
for word in '.TH MANTISSA 1' '.SS quantize' '.SS verify' '.SH EXIT STATUS' \
  '\-\-group\-size'; do
  grep -qF -- "$word" "$page" || { echo "no $word" >&2; failed=1; }
done
if command -v mandoc >/dev/null; then
  # Without a date the page is the same on every day.
  warnings=$(mandoc -T lint -W warning "$page" | grep -v "missing date")
  [ -z "$warnings" ] || { echo "$warnings" >&2; failed=1; }
elif command -v groff >/dev/null; then
  warnings=$(groff -man -Tascii -ww -z "$page" 2>&1)
  [ -z "$warnings" ] || { echo "$warnings" >&2; failed=1; }
else
  echo "neither mandoc nor groff is installed: not formatted"
fi
exit $failed
