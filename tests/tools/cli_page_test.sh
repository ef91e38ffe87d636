#!/usr/bin/env bash
# cli_page_test.sh SOURCE_DIR MANTISSA: docs/cli.md is what the tool says.
set -euo pipefail
diff "$1/docs/cli.md" <("$1/tools/cli_page.sh" "$2") || {
  echo "run tools/cli_page.sh build/bin/mantissa > docs/cli.md" >&2
  exit 1
}
