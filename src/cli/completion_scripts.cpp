#include "cli/completion_scripts.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace mantissa::cli {
namespace {

std::vector<std::string> option_names(const CommandWords& command) {
  std::vector<std::string> names;
  for (const OptionWords& option : command.options) {
    names.insert(names.end(), option.names.begin(), option.names.end());
  }
  return names;
}

std::vector<std::string> command_names(const CommandWords& root) {
  std::vector<std::string> names;
  for (const CommandWords& command : root.commands) {
    names.push_back(command.name);
  }
  return names;
}

// Text between single quotes of a shell; every character of `more` gets a
// backslash.
std::string quoted(const std::string& text,
                   std::string_view more,
                   std::string_view quote) {
  std::string out;
  for (const char c : text) {
    if (c == '\'') {
      out += quote;
    } else if (c == '\n') {
      out += ' ';
    } else {
      if (more.find(c) != more.npos) out += '\\';
      out += c;
    }
  }
  return out;
}

std::string zsh_text(const std::string& text) {
  return quoted(text, "[]:\\", "'\\''");
}

std::string fish_text(const std::string& text) {
  return quoted(text, "\\", "\\'");
}

// "first sentence, for a list of commands".
std::string first_line(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

std::string zsh_value(const OptionWords& option) {
  const std::string message =
      zsh_text(option.positional.empty() ? option.value : option.positional);
  if (!option.choices.empty() && !option.takes_files()) {
    return fmt::format(":{}:({})", message, fmt::join(option.choices, " "));
  }
  if (!option.choices.empty()) {
    // The leading blank keeps zsh from adding words of its own.
    return fmt::format(":{}: _mantissa_choice_or_file {}",
                       message,
                       fmt::join(option.choices, " "));
  }
  return fmt::format(":{}:{}", message, option.takes_files() ? "_files" : " ");
}

std::string zsh_option(const OptionWords& option) {
  if (!option.positional.empty()) {
    return fmt::format("      '{}'", zsh_value(option));
  }
  const std::string value = option.value.empty() ? "" : zsh_value(option);
  const std::string help = zsh_text(option.help);
  if (option.names.size() == 1) {
    return fmt::format("      '{}{}[{}]{}'",
                       option.repeatable ? "*" : "",
                       option.names[0],
                       help,
                       value);
  }
  return fmt::format("      '({0})'{{{1}}}'[{2}]{3}'",
                     fmt::join(option.names, " "),
                     fmt::join(option.names, ","),
                     help,
                     value);
}

std::string fish_option(const CommandWords& command,
                        const OptionWords& option) {
  std::string out = fmt::format(
      "complete -c mantissa -n '__fish_seen_subcommand_from {}'", command.name);
  for (const std::string& name : option.names) {
    out += name.starts_with("--") ? " -l " + name.substr(2)
                                  : " -s " + name.substr(1);
  }
  if (option.names.empty()) {
    if (option.choices.empty()) return "";  // files are offered anyway
    return out + fmt::format(" -f -a '{}'\n", fmt::join(option.choices, " "));
  }
  if (!option.value.empty()) out += option.takes_files() ? " -r" : " -x";
  if (!option.choices.empty()) {
    out += fmt::format(" -a '{}'", fmt::join(option.choices, " "));
  }
  return out + fmt::format(" -d '{}'\n", fish_text(option.help));
}

}  // namespace

std::string bash_completion(const CommandWords& root) {
  std::string values;
  std::string options = fmt::format("    '') words='{}' ;;\n",
                                    fmt::join(option_names(root), " "));
  for (const CommandWords& command : root.commands) {
    options += fmt::format("    {}) words='{}' ;;\n",
                           command.name,
                           fmt::join(option_names(command), " "));
    for (const OptionWords& option : command.options) {
      if (option.value.empty()) continue;
      std::string cases;
      for (const std::string& name : option.names) {
        cases += fmt::format(
            "{}{}:{}", cases.empty() ? "" : " | ", command.name, name);
      }
      if (cases.empty()) {  // a positional with choices
        if (option.choices.empty()) continue;
        cases = command.name + ":" + command.name;
      }
      values += fmt::format("    {}) kind={} words='{}' ;;\n",
                            cases,
                            option.takes_files() ? "file" : "word",
                            fmt::join(option.choices, " "));
    }
  }
  return fmt::format(
      R"(# bash completion for mantissa, made by `mantissa completion bash`.
_mantissa() {{
  local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD-1]}}
  local command= kind= words= word
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    case $word in
    {0}) command=$word; break ;;
    esac
  done
  case $command:$prev in
{1}  esac
  if [ -z "$kind" ] && [[ $cur == -* ]]; then
    kind=word
    case $command in
{2}    esac
  elif [ -z "$kind" ] && [ -z "$command" ]; then
    kind=word words='{3}'
  fi
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
  if [ "$kind" != word ]; then
    local files
    mapfile -t files < <(compgen -f -- "$cur")
    COMPREPLY+=("${{files[@]}}")
    compopt -o filenames 2>/dev/null
  fi
}}
complete -F _mantissa mantissa
)",
      fmt::join(command_names(root), " | "),
      values,
      options,
      fmt::join(command_names(root), " "));
}

std::string zsh_completion(const CommandWords& root) {
  std::string commands;
  std::string cases;
  for (const CommandWords& command : root.commands) {
    commands += fmt::format(
        "    '{}:{}'\n", command.name, zsh_text(first_line(command.help)));
    cases += fmt::format("    {})\n      _arguments -s \\\n", command.name);
    for (std::size_t i = 0; i < command.options.size(); ++i) {
      cases += "  " + zsh_option(command.options[i]) +
               (i + 1 < command.options.size() ? " \\\n" : "\n");
    }
    cases += "      ;;\n";
  }
  std::string options;
  for (const OptionWords& option : root.options) {
    options += zsh_option(option) + " \\\n";
  }
  return fmt::format(
      R"(#compdef mantissa
# zsh completion for mantissa, made by `mantissa completion zsh`.
_mantissa_choice_or_file() {{
  compadd -- "$@"
  _files
}}

_mantissa() {{
  local context state state_descr line
  typeset -A opt_args
  local -a commands=(
{0}  )
  _arguments -C \
{1}      '1:command:->command' '*::argument:->arguments'
  case $state in
  command) _describe command commands ;;
  arguments)
    case $words[1] in
{2}    esac
    ;;
  esac
}}

if [ "$funcstack[1]" = _mantissa ]; then
  _mantissa "$@"
else
  compdef _mantissa mantissa
fi
)",
      commands,
      options,
      cases);
}

std::string fish_completion(const CommandWords& root) {
  std::string out =
      "# fish completion for mantissa, made by `mantissa completion fish`.\n";
  for (const OptionWords& option : root.options) {
    out += "complete -c mantissa -n __fish_use_subcommand";
    for (const std::string& name : option.names) {
      out += name.starts_with("--") ? " -l " + name.substr(2)
                                    : " -s " + name.substr(1);
    }
    out += fmt::format(" -d '{}'\n", fish_text(option.help));
  }
  for (const CommandWords& command : root.commands) {
    out += fmt::format(
        "complete -c mantissa -n __fish_use_subcommand -f -a {} -d '{}'\n",
        command.name,
        fish_text(first_line(command.help)));
    for (const OptionWords& option : command.options) {
      out += fish_option(command, option);
    }
  }
  return out;
}

}  // namespace mantissa::cli
