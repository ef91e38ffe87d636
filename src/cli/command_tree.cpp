#include "cli/command_tree.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <mantissa/configs/registry.h>

#include "core/suggest.h"

namespace mantissa::cli {
namespace {

// Values that a shell can offer, by long name.
std::vector<std::string> choices_of(const std::string& option) {
  if (option == "--dtype") return {"float32", "bfloat16", "float16"};
  if (option == "--config") {
    std::vector<std::string> names;
    for (const ConfigInfo& info : configs()) {
      if (info.availability == Availability::Now) {
        names.emplace_back(info.short_name);
      }
    }
    return names;
  }
  if (option == "SHELL") return {"bash", "zsh", "fish"};
  return {};
}

OptionWords words_of(const CLI::Option& option) {
  OptionWords words;
  for (const std::string& name : option.get_snames()) {
    words.names.push_back("-" + name);
  }
  for (const std::string& name : option.get_lnames()) {
    words.names.push_back("--" + name);
  }
  if (words.names.empty()) words.positional = option.get_name(true);
  const bool has_value = option.get_items_expected_max() > 0;
  // Behind a colon stand the checks: "INT:INT in [1 - 1024]".
  if (has_value) {
    const std::string type = option.get_type_name();
    words.value = type.substr(0, type.find(':'));
  }
  if (has_value && words.value.empty()) words.value = "TEXT";
  words.choices =
      choices_of(words.names.empty() ? words.positional : words.names.back());
  words.help = option.get_description();
  words.default_value = option.get_default_str();
  words.required = option.get_required();
  words.repeatable = has_value && option.get_items_expected_max() > 1;
  return words;
}

bool knows(const CommandWords& command, const std::string& name) {
  return std::ranges::any_of(command.options, [&](const OptionWords& option) {
    return std::ranges::find(option.names, name) != option.names.end();
  });
}

// A command of commands ("bench model") as one that takes their names first,
// then the words of any: shells and manuals need no second level.
void merge_commands(CommandWords& words) {
  if (words.commands.empty()) return;
  OptionWords what;
  what.positional = "WHAT";
  what.required = true;
  for (CommandWords& command : words.commands) {
    what.choices.push_back(command.name);
    what.help += fmt::format(
        "{}{}: {}", what.help.empty() ? "" : "; ", command.name, command.help);
    for (OptionWords& option : command.options) {
      if (option.names.empty() || !knows(words, option.names.back())) {
        words.options.push_back(std::move(option));
      }
    }
  }
  words.options.insert(words.options.begin() + 1, std::move(what));
  words.commands.clear();
}

std::string without_value(const std::string& word) {
  return word.substr(0, word.find('='));
}

std::string did_you_mean(const std::string& word,
                         const std::vector<std::string>& candidates) {
  const std::string nearest = nearest_name(word, candidates);
  return nearest.empty() ? "" : "did you mean " + nearest + "?";
}

}  // namespace

bool OptionWords::takes_files() const {
  if (!positional.empty()) return choices.empty();
  return value == "TEXT" && (choices.empty() || names.back() == "--config");
}

std::string OptionWords::spelled() const {
  std::string out = positional;
  for (const std::string& name : names) {
    out += (out.empty() ? "" : ", ") + name;
  }
  if (positional.empty() && !value.empty()) out += " " + value;
  return out;
}

std::string CommandWords::usage(std::string_view parent) const {
  std::string out = fmt::format("{} {} [OPTIONS]", parent, name);
  for (const OptionWords& option : options) {
    if (option.positional.empty()) continue;
    out += option.required ? " " + option.positional
                           : " [" + option.positional + "]";
  }
  return out;
}

CommandWords command_words(const CLI::App& app) {
  CommandWords words{app.get_name(), app.get_description(), {}, {}};
  for (const CLI::Option* option : app.get_options(
           [](const CLI::Option* o) { return !o->get_group().empty(); })) {
    words.options.push_back(words_of(*option));
  }
  for (const CLI::App* command : app.get_subcommands(
           [](const CLI::App* a) { return !a->get_name().empty(); })) {
    words.commands.push_back(command_words(*command));
    merge_commands(words.commands.back());
  }
  return words;
}

std::string suggest_words(const CommandWords& root,
                          const std::vector<std::string>& arguments) {
  const CommandWords* command = nullptr;
  std::vector<std::string> names;
  for (const CommandWords& each : root.commands) names.push_back(each.name);
  for (const std::string& word : arguments) {
    if (word == "--") break;
    if (word.starts_with("--")) {
      const CommandWords& here = command == nullptr ? root : *command;
      const std::string flag = without_value(word);
      if (knows(here, flag)) continue;
      std::vector<std::string> flags;
      for (const OptionWords& option : here.options) {
        for (const std::string& name : option.names) {
          if (name.starts_with("--")) flags.push_back(name);
        }
      }
      return did_you_mean(flag, flags);
    }
    if (command != nullptr || word.starts_with('-')) continue;
    const auto found =
        std::ranges::find(root.commands, word, &CommandWords::name);
    if (found == root.commands.end()) return did_you_mean(word, names);
    command = &*found;
  }
  return "";
}

}  // namespace mantissa::cli
