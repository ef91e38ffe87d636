#include "cli/inspect_view.h"

#include <string>
#include <unordered_map>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <mantissa/core/tensor_view.h>

#include "checkpoint/bounded_json.h"
#include "cli/table.h"
#include "core/quoted.h"

namespace mantissa::cli {
namespace {

std::string format_bits(std::int64_t bytes, std::int64_t values) {
  return values == 0 ? "-"
                     : fmt::format("{:.2f}", bits_per_value(bytes, values));
}

std::string format_share(std::int64_t part, std::int64_t whole) {
  if (whole == 0) return "-";
  return fmt::format(
      "{:.1f}%",
      100.0 * static_cast<double>(part) / static_cast<double>(whole));
}

// "134.5M": parameters as people say them.
std::string format_values(std::int64_t count) {
  const auto value = static_cast<double>(count);
  if (count < 10'000) return std::to_string(count);
  if (count < 1'000'000) return fmt::format("{:.1f}k", value / 1e3);
  if (count < 1'000'000'000) return fmt::format("{:.1f}M", value / 1e6);
  return fmt::format("{:.2f}B", value / 1e9);
}

std::string architecture(const CheckpointSource& source) {
  if (source.config_json().empty()) return {};
  const auto config = parse_config_object(source.config_json(), "config.json");
  const auto names = config.find("architectures");
  if (names != config.end() && names->is_array() && !names->empty() &&
      names->front().is_string()) {
    return names->front().get<std::string>();
  }
  const auto type = config.find("model_type");
  if (type != config.end() && type->is_string()) {
    return type->get<std::string>();
  }
  return {};
}

std::string format_number(double value) { return fmt::format("{:.4g}", value); }

struct Sums {
  std::int64_t tensors = 0;
  std::int64_t values = 0;
  std::int64_t bytes = 0;

  void add(const LogicalTensor& tensor) {
    ++tensors;
    values += numel(tensor.shape);
    bytes += tensor.bytes;
  }
};

// A module: children by name, in order of appearance.
struct Node {
  std::string name;
  Sums sums;
  std::string stored;  // of a leaf
  std::string shape;   // of a leaf
  std::vector<Node> children;
  std::unordered_map<std::string, std::size_t> index;  // of a child, by name

  Node& child(std::string_view wanted) {
    const auto [at, fresh] =
        index.emplace(std::string(wanted), children.size());
    if (fresh) children.emplace_back().name = wanted;
    return children[at->second];
  }
};

Node build_tree(const std::vector<LogicalTensor>& tensors) {
  Node root;
  for (const NameGroup& group : group_tensors(tensors)) {
    std::vector<Node*> path = {&root};
    std::string_view rest = group.pattern;
    while (!rest.empty()) {
      const std::size_t dot = rest.find('.');
      path.push_back(&path.back()->child(rest.substr(0, dot)));
      rest.remove_prefix(dot == rest.npos ? rest.size() : dot + 1);
    }
    const LogicalTensor& first = tensors[group.members[0]];
    path.back()->stored = first.stored;
    path.back()->shape = to_string(first.shape);
    for (Node* node : path) {
      for (const std::size_t member : group.members) {
        node->sums.add(tensors[member]);
      }
    }
  }
  return root;
}

void add_node(const Node& node, std::size_t depth, Table& table) {
  // A module with one thing in it stands on one line with it.
  const Node* shown = &node;
  std::string name = node.name;
  while (shown->children.size() == 1) {
    shown = &shown->children[0];
    name += '.' + shown->name;
  }
  table.add({std::string(2 * depth, ' ') + name,
             shown->shape,
             shown->stored,
             format_values(shown->sums.values),
             format_bits(shown->sums.bytes, shown->sums.values),
             format_bytes(shown->sums.bytes)});
  for (const Node& child : shown->children) add_node(child, depth + 1, table);
}

}  // namespace

std::string inspect_summary(const Inspection& inspection) {
  const LogicalCheckpoint& checkpoint = inspection.checkpoint;
  const CheckpointTotals totals = checkpoint_totals(checkpoint.tensors());
  const std::string model = architecture(checkpoint.source());
  std::string text =
      fmt::format("{}{}{}: {} tensors, {} values, {}, {} bits per value\n",
                  checkpoint.source().kind(),
                  model.empty() ? "" : ", ",
                  printable(model),
                  format_count(totals.tensors),
                  format_values(totals.values),
                  format_bytes(totals.bytes),
                  format_bits(totals.bytes, totals.values));
  text += printable(quantization_scheme(checkpoint));
  if (totals.quantized_tensors > 0) {
    text += fmt::format(
        ": {} tensors, {} of the values, at {} bits; {} tensors kept ({})",
        format_count(totals.quantized_tensors),
        format_share(totals.quantized_values, totals.values),
        format_bits(totals.quantized_bytes, totals.quantized_values),
        format_count(totals.tensors - totals.quantized_tensors),
        format_bytes(totals.bytes - totals.quantized_bytes));
  }
  text += '\n';
  if (checkpoint.quantized() != nullptr &&
      !checkpoint.quantized()->problems().empty()) {
    text += fmt::format("{} problems, first: {}; `mantissa verify` lists all\n",
                        checkpoint.quantized()->problems().size(),
                        printable(checkpoint.quantized()->problems()[0]));
  }
  for (const std::string& note : checkpoint.source().notes()) {
    text += fmt::format("note: {}\n", printable(note));
  }
  return text;
}

std::string inspect_groups(const Inspection& inspection) {
  const auto& tensors = inspection.checkpoint.tensors();
  const std::int64_t whole = checkpoint_totals(tensors).bytes;
  Table table({"tensor", "", "shape", "stored as", "bits", "size", "share"},
              {1, 4, 5, 6});
  for (const NameGroup& group : group_tensors(tensors)) {
    Sums sums;
    for (const std::size_t member : group.members) sums.add(tensors[member]);
    const LogicalTensor& first = tensors[group.members[0]];
    table.add({group.pattern,
               sums.tensors > 1 ? fmt::format("x{}", sums.tensors) : "",
               to_string(first.shape),
               first.stored,
               format_bits(sums.bytes, sums.values),
               format_bytes(sums.bytes),
               format_share(sums.bytes, whole)});
  }
  return table.text();
}

std::string inspect_rows(const Inspection& inspection) {
  const auto& tensors = inspection.checkpoint.tensors();
  const bool stats = !inspection.stats.empty();
  std::vector<std::string> heading = {
      "tensor", "shape", "stored as", "bits", "size"};
  if (stats) {
    heading.insert(heading.end(),
                   {"min", "max", "absmax", "zeros", "nonfinite"});
  }
  Table table(heading, {3, 4, 5, 6, 7, 8, 9});
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const LogicalTensor& tensor = tensors[i];
    const std::int64_t values = numel(tensor.shape);
    std::vector<std::string> row = {tensor.name,
                                    to_string(tensor.shape),
                                    tensor.stored,
                                    format_bits(tensor.bytes, values),
                                    format_bytes(tensor.bytes)};
    if (stats) {
      const TensorStats& s = inspection.stats[i];
      row.insert(row.end(),
                 {format_number(s.min),
                  format_number(s.max),
                  format_number(s.absmax),
                  format_share(s.zeros, values),
                  s.nonfinite == 0 ? "" : format_count(s.nonfinite)});
    }
    table.add(std::move(row));
  }
  return table.text();
}

std::string inspect_tree(const Inspection& inspection) {
  Table table({"module", "shape", "stored as", "values", "bits", "size"},
              {3, 4, 5});
  const Node root = build_tree(inspection.checkpoint.tensors());
  for (const Node& child : root.children) add_node(child, 0, table);
  return table.text();
}

}  // namespace mantissa::cli
