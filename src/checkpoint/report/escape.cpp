#include "checkpoint/report/escape.h"

#include <algorithm>
#include <vector>

#include "core/quoted.h"
#include "core/utf8.h"

namespace mantissa::report {
namespace {

std::string html_of(std::string_view plain) {
  std::string out;
  for (const char c : plain) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

bool is_plain_word(std::string_view text, std::string_view more) {
  return !text.empty() && std::ranges::all_of(text, [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || more.find(c) != more.npos;
  });
}

}  // namespace

std::string shortened(std::string_view text, std::size_t length) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const std::size_t bytes = first_character(text).bytes;
    parts.push_back(printable(text.substr(0, bytes)));
    text.remove_prefix(bytes);
  }
  std::string out;
  const std::size_t tail = (length - 3) / 2;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (parts.size() > length && i == length - 3 - tail) {
      out += "...";
      i = parts.size() - tail;
    }
    out += parts[i];
  }
  return out;
}

std::string html(std::string_view text) { return html_of(printable(text)); }

std::string html_block(std::string_view text) {
  std::string out;
  while (true) {
    const std::size_t end = text.find('\n');
    out += html(text.substr(0, end));
    if (end == text.npos) return out;
    out += '\n';
    text.remove_prefix(end + 1);
  }
}

std::string csv(std::string_view text) {
  std::string cell = printable(text);
  const std::size_t first = cell.find_first_not_of(' ');
  if (first != cell.npos &&
      std::string_view("=+-@").find(cell[first]) != std::string_view::npos) {
    cell.insert(0, "'");
  }
  if (cell.find_first_of(",\"; ") == cell.npos) return cell;
  std::string out = "\"";
  for (const char c : cell) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + '"';
}

std::string markdown(std::string_view text) {
  const std::string plain = printable(text);
  if (is_plain_word(plain, "._-/:,=()[] #+")) return "`" + plain + "`";
  std::string out;
  for (const char c : plain) {
    if (c == '&' || c == '<' || c == '>') {
      out += html_of({&c, 1});
      continue;
    }
    if (c == '@') {  // no mention of somebody on a code host
      out += "&#64;";
      continue;
    }
    if (std::string_view("\\`*_{}[]()#+-.!|~:$").find(c) !=
        std::string_view::npos) {
      out += '\\';
    }
    out += c;
  }
  return out;
}

std::string markdown_block(std::string_view text, std::string_view language) {
  std::size_t longest = 2;
  std::size_t run = 0;
  for (const char c : text) {
    run = c == '`' ? run + 1 : 0;
    longest = std::max(longest, run);
  }
  const std::string fence(longest + 1, '`');
  std::string out = fence + std::string(language) + "\n";
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    out += printable(text.substr(0, end)) + "\n";
    if (end == text.npos) break;
    text.remove_prefix(end + 1);
  }
  return out + fence + "\n";
}

std::string shell_word(std::string_view text) {
  if (is_plain_word(text, "._-/:,=+@%")) return std::string(text);
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      out += c;
    }
  }
  return out + "'";
}

}  // namespace mantissa::report
