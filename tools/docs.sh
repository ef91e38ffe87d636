#!/usr/bin/env bash
# docs.sh: the documentation in docs/_build/html, from docs/ and the headers.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p docs/_build/doxygen
doxygen docs/Doxyfile
.deps/docs/bin/sphinx-build -q -W --keep-going -b html docs docs/_build/html
echo "docs: docs/_build/html/index.html"
