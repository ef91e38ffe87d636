#!/usr/bin/env bash
# cli_page.sh MANTISSA: prints docs/cli.md, from the tool's own parser.
set -euo pipefail
cat <<'TEXT'
# Command line

Every command and option as the tool's parser has them; `mantissa COMMAND --help`
says the same, and `mantissa manual` prints it as a manual page. Completion for a
shell that is not set up by the package:

| shell | line |
| --- | --- |
| bash | `source <(mantissa completion bash)` in `~/.bashrc` |
| zsh | `source <(mantissa completion zsh)` in `~/.zshrc`, after `compinit` |
| fish | `mantissa completion fish > ~/.config/fish/completions/mantissa.fish` |

Written by `tools/cli_page.sh`; a test compares it with the tool.

TEXT
"$1" manual --markdown
