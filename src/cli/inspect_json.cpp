#include <nlohmann/json.hpp>

#include <mantissa/core/tensor_view.h>

#include "cli/inspect_view.h"
#include "cli/terminal.h"

namespace mantissa::cli {
namespace {

using Json = nlohmann::ordered_json;

// A list of the outermost object, its items appended one by one: as a tree, a
// hundred thousand of them would take hundreds of megabytes.
template <class Item>
void append_list(std::string& out,
                 std::string_view key,
                 std::size_t count,
                 const Item& item) {
  out += ",\n  \"";
  out.append(key).append("\": [");
  for (std::size_t i = 0; i < count; ++i) {
    std::string text = json_text(item(i));
    text.pop_back();
    out += i == 0 ? "\n    " : ",\n    ";
    for (const char c : text) {
      out += c;
      if (c == '\n') out += "    ";
    }
  }
  out += count == 0 ? "]" : "\n  ]";
}

Json tensor_json(const Inspection& inspection, std::size_t index) {
  const LogicalCheckpoint& checkpoint = inspection.checkpoint;
  const LogicalTensor& tensor = checkpoint.tensors()[index];
  Json json = {
      {"name", tensor.name},
      {"shape", tensor.shape},
      {"dtype", name(tensor.dtype)},
      {"stored_as", tensor.stored},
      {"quantized", tensor.quantized},
      {"bytes", tensor.bytes},
      {"bits_per_value", bits_per_value(tensor.bytes, numel(tensor.shape))},
  };
  Json& parts = json["parts"] = Json::array();
  for (const RowPiece& piece : tensor.pieces) {
    const SourceTensor& stored = checkpoint.source().tensors()[piece.source];
    parts.push_back({{"name", stored.name},
                     {"stored_type", stored.stored_type},
                     {"shape", stored.shape},
                     {"bytes", stored.stored_bytes}});
  }
  if (!inspection.stats.empty()) {
    const TensorStats& stats = inspection.stats[index];
    json["stats"] = {{"min", stats.min},
                     {"max", stats.max},
                     {"absmax", stats.absmax},
                     {"zeros", stats.zeros},
                     {"nonfinite", stats.nonfinite}};
  }
  return json;
}

}  // namespace

std::string inspect_json(const Inspection& inspection) {
  const LogicalCheckpoint& checkpoint = inspection.checkpoint;
  const CheckpointTotals totals = checkpoint_totals(checkpoint.tensors());
  Json json = {
      {"schema_version", 1},
      {"kind", checkpoint.source().kind()},
      {"scheme", quantization_scheme(checkpoint)},
      {"fingerprint", checkpoint.source().fingerprint()},
      {"totals",
       {{"tensors", totals.tensors},
        {"values", totals.values},
        {"bytes", totals.bytes},
        {"bits_per_value", bits_per_value(totals.bytes, totals.values)},
        {"quantized_tensors", totals.quantized_tensors},
        {"quantized_values", totals.quantized_values},
        {"quantized_bytes", totals.quantized_bytes},
        {"tensors_by_type", totals.tensors_by_type}}},
      {"metadata", checkpoint.source().metadata()},
      {"notes", checkpoint.source().notes()},
  };
  std::string text = json_text(json);
  text.resize(text.rfind('\n', text.size() - 2));
  const DialectCheckpoint* quantized = checkpoint.quantized();
  append_list(text,
              "problems",
              quantized == nullptr ? 0 : quantized->problems().size(),
              [&](std::size_t i) { return Json(quantized->problems()[i]); });
  append_list(text, "tensors", checkpoint.tensors().size(), [&](std::size_t i) {
    return tensor_json(inspection, i);
  });
  return text + "\n}\n";
}

}  // namespace mantissa::cli
