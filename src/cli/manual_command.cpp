#include <cstdio>
#include <memory>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <mantissa/core/version.h>

#include "cli/command.h"
#include "cli/command_tree.h"

namespace mantissa::cli {
namespace {

struct Fact {
  const char* name;
  const char* text;
};

constexpr Fact kExitCodes[] = {
    {"0", "done; diff also when files differ"},
    {"1", "unexpected error"},
    {"2",
     "usage: words, rules, configs or shapes that do not fit; OUT stands in "
     "the way"},
    {"3", "target not writable, device or library missing, OUT locked"},
    {"4", "malformed input, or weights that are NaN or infinite"},
    {"5",
     "--min-sqnr missed (quantize, diff); verify: well-formed but wrong, or a "
     "hash that differs"},
    {"6", "an eligible tensor would be skipped, without --allow-skipped"},
    {"7", "disk or memory short"},
    {"130, 143",
     "stopped by SIGINT or SIGTERM; --resume goes on, --restart begins again"},
};

constexpr Fact kEnvironment[] = {
    {"MANTISSA_CPU",
     "scalar, avx2, avx512, avx512vnni or amx: the highest instruction set "
     "used"},
    {"MANTISSA_KERNEL", "OP=NAME: the kernel asked first (mantissa kernels)"},
    {"NO_COLOR", "set to anything: no color with --color auto"},
};

constexpr Fact kFiles[] = {
    {"OUT", "what quantize and convert write, complete or not at all"},
    {"OUT.partial",
     "a run that is not done, with its journal; --resume goes on with it, "
     "--restart discards it"},
    {"OUT.report",
     "report.html, report.md, summary.json, tensors.csv and events.jsonl of "
     "the run; --report names another place, --no-report leaves it out"},
};

std::string roff(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else if ((c == '.' || c == '\'') && (out.empty() || out.back() == '\n')) {
      out += "\\&";
      out += c;
    } else {
      out += c;
    }
  }
  return out;
}

std::string help_of(const OptionWords& option) {
  std::string out = option.help;
  if (!option.default_value.empty()) {
    out += " (default: " + option.default_value + ")";
  }
  if (option.required) out += " (required)";
  return out;
}

std::string roff_list(const Fact* begin, const Fact* end) {
  std::string out;
  for (const Fact* fact = begin; fact != end; ++fact) {
    out += fmt::format(".TP\n.B {}\n{}\n", roff(fact->name), roff(fact->text));
  }
  return out;
}

std::string man_page(const CommandWords& root) {
  std::string out = fmt::format(
      ".\\\" Made by `mantissa manual`.\n"
      ".TH MANTISSA 1 \"\" \"mantissa {}\" \"User Commands\"\n"
      ".SH NAME\nmantissa \\- quantize model checkpoints\n"
      ".SH SYNOPSIS\n.B mantissa\n.I COMMAND\n.RI [ OPTIONS ]\n"
      ".SH DESCRIPTION\n{}\n.SH COMMANDS\n",
      kVersion,
      roff(root.help));
  for (const CommandWords& command : root.commands) {
    out += fmt::format(".SS {}\n{}.\n.P\n.B {}\n",
                       roff(command.name),
                       roff(command.help),
                       roff(command.usage("mantissa")));
    for (const OptionWords& option : command.options) {
      out += fmt::format(
          ".TP\n.B {}\n{}\n", roff(option.spelled()), roff(help_of(option)));
    }
  }
  out += ".SH EXIT STATUS\n" +
         roff_list(std::begin(kExitCodes), std::end(kExitCodes));
  out += ".SH ENVIRONMENT\n" +
         roff_list(std::begin(kEnvironment), std::end(kEnvironment));
  return out + ".SH FILES\n" + roff_list(std::begin(kFiles), std::end(kFiles));
}

// Markdown's own characters in plain words.
std::string plain(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '*' || c == '<' || c == '|' || c == '_') out += '\\';
    out += c;
  }
  return out;
}

std::string markdown_table(const char* heading,
                           const Fact* begin,
                           const Fact* end) {
  std::string out = fmt::format("| {} | meaning |\n| --- | --- |\n", heading);
  for (const Fact* fact = begin; fact != end; ++fact) {
    out += fmt::format("| `{}` | {} |\n", fact->name, plain(fact->text));
  }
  return out;
}

std::string markdown_manual(const CommandWords& root) {
  std::string out;
  for (const CommandWords& command : root.commands) {
    out += fmt::format("## {}\n\n{}.\n\n```text\n{}\n```\n\n",
                       command.name,
                       plain(command.help),
                       command.usage("mantissa"));
    out += "| option | meaning |\n| --- | --- |\n";
    for (const OptionWords& option : command.options) {
      out += fmt::format(
          "| `{}` | {} |\n", option.spelled(), plain(help_of(option)));
    }
    out += "\n";
  }
  out += "## Exit codes\n\n" +
         markdown_table("code", std::begin(kExitCodes), std::end(kExitCodes));
  out += "\n## Environment\n\n" + markdown_table("variable",
                                                 std::begin(kEnvironment),
                                                 std::end(kEnvironment));
  return out + "\n## Files\n\n" +
         markdown_table("path", std::begin(kFiles), std::end(kFiles));
}

}  // namespace

void add_manual_command(CLI::App& app, Run& run) {
  auto markdown = std::make_shared<bool>(false);
  CLI::App* command = app.add_subcommand(
      "manual", "Print the manual page, or the reference in Markdown");
  command->add_flag("--markdown", *markdown, "Markdown in place of roff");
  command->callback([markdown, &app, &run] {
    run = [markdown, &app] {
      const CommandWords root = command_words(app);
      const std::string text =
          *markdown ? markdown_manual(root) : man_page(root);
      std::fputs(text.c_str(), stdout);
      return 0;
    };
  });
}

}  // namespace mantissa::cli
