#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace CLI {
class App;
}

namespace mantissa::cli {

/// One option, flag or positional of a command.
struct OptionWords {
  std::vector<std::string> names;    ///< "-c", "--config"; empty: positional
  std::string positional;            ///< "IN", else ""
  std::string value;                 ///< "TEXT", "INT", ...; "" for a flag
  std::vector<std::string> choices;  ///< known values, if they are a list
  std::string help;
  std::string default_value;
  bool required = false;
  bool repeatable = false;

  /// True where a file or directory is a sensible value.
  bool takes_files() const;
  /// "-c, --config TEXT" or "IN".
  std::string spelled() const;
};

/// A command as the parser knows it.
struct CommandWords {
  std::string name;
  std::string help;
  std::vector<OptionWords> options;  ///< hidden ones are left out
  std::vector<CommandWords> commands;

  /// "mantissa plan [OPTIONS] IN".
  std::string usage(std::string_view parent) const;
};

/// The parser's description of itself: completion, manual and suggestions are
/// made from it, so they cannot fall behind.
CommandWords command_words(const CLI::App& app);

/// What a user may have meant by the first word that the parser does not know:
/// "did you mean --group-size?", or "".
std::string suggest_words(const CommandWords& root,
                          const std::vector<std::string>& arguments);

}  // namespace mantissa::cli
