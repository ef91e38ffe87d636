#!/usr/bin/env bash
# kernels_page_test.sh SOURCE_DIR MANTISSA: docs/kernels.md is what the tool says.
set -euo pipefail
diff "$1/docs/kernels.md" <("$1/tools/kernels_page.sh" "$2") || {
  echo "run tools/kernels_page.sh build/bin/mantissa > docs/kernels.md" >&2
  exit 1
}
