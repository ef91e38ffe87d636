#pragma once

#include <string>
#include <vector>

namespace mantissa::support {

/// What a finished process said.
struct ToolResult {
  int exit_code = -1;
  std::string out;  ///< stdout
  std::string err;  ///< stderr
};

/// Runs the tool of this build with these arguments, without a shell.
ToolResult run_tool(const std::vector<std::string>& arguments);

/// The same with stdout going to a file that exists, such as /dev/full.
ToolResult run_tool_to(const std::string& path,
                       const std::vector<std::string>& arguments);

}  // namespace mantissa::support
