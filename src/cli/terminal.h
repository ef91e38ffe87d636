#pragma once

#include <span>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

namespace mantissa::cli {

/// Makes sure that descriptors 0 to 2 are taken: a file that we open must not
/// become the stdout that somebody closed. Call first in main.
void take_standard_descriptors();

/// Lines for people to stdout, with everything escaped that a terminal would
/// not show; zero bytes are no end.
void print_text(std::string_view text);

/// JSON to stdout as it is.
void print_json(std::string_view json);

/// Text to stderr as it is, for people who watch; nothing depends on it.
void print_note(std::string_view text);

/// "mantissa: MESSAGE" to stderr as one line: a line feed in it is escaped too,
/// so that no name from a file looks like a line of ours.
void print_error(std::string_view message);

/// The same with one line for each message.
void print_errors(std::span<const std::string> messages);

/// JSON with indentation and a line feed at its end. Names from files that are
/// not UTF-8 get replacement characters, so that the rest can be read.
std::string json_text(const nlohmann::ordered_json& json);

/// The exit code of a run that ended with `code`: 3, with a message, when what
/// it printed could not be written.
int finish_output(int code);

}  // namespace mantissa::cli
