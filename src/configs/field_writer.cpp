#include <string>
#include <unordered_set>
#include <vector>

#include <nlohmann/json.hpp>

#include "configs/fields.h"

namespace mantissa {
namespace {

template <class... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};

// A dataclass or NamedTuple; `_version` is 1 for all that configs hold.
Json object(const char* type, Json data) {
  Json out = Json::object();
  out["_type"] = type;
  out["_version"] = 1;
  out["_data"] = std::move(data);
  return out;
}

}  // namespace

Json& FieldWriter::member(std::string_view name) {
  return data_[std::string(name)] = nullptr;
}

void FieldWriter::put(Json& out, bool value) { out = value; }
void FieldWriter::put(Json& out, std::int64_t value) { out = value; }
void FieldWriter::put(Json& out, double value) { out = value; }
void FieldWriter::put(Json& out, const std::string& value) { out = value; }

void FieldWriter::put(Json& out, const std::vector<std::int64_t>& value) {
  out = value;
}

void FieldWriter::put(Json& out, DType value) {
  out = Json::object();
  out["_type"] = "torch.dtype";
  // torch names the storage of two values, configs the element.
  out["_data"] = value == DType::Float4E2M1 ? std::string("float4_e2m1fn_x2")
                                            : std::string(name(value));
}

void FieldWriter::put_enum(Json& out,
                           const EnumSpelling& value,
                           EnumForm form) {
  if (form == EnumForm::Raw && !value.value.empty()) {
    out = std::string(value.value);
    return;
  }
  out = Json::object();
  out["_type"] = std::string(value.type);
  out["_data"] = std::string(value.member);
}

void FieldWriter::put(Json& out, const Granularity& value) {
  out = std::visit(
      Overloaded{
          [](const PerTensor&) { return object("PerTensor", Json::object()); },
          [](const PerAxis& g) {
            return object("PerAxis", Json{{"axis", g.axis}});
          },
          [](const PerRow& g) {
            return object("PerRow", Json{{"dim", g.dim}});
          },
          [](const PerToken&) { return object("PerToken", Json::object()); },
          [](const PerGroup& g) {
            return object("PerGroup", Json{{"group_size", g.group_size}});
          },
          [](const PerBlock& g) {
            return object("PerBlock", Json{{"block_size", g.block_size}});
          },
      },
      value);
}

void FieldWriter::put(Json& out, const Granularities& value) {
  if (const auto* one = std::get_if<Granularity>(&value)) {
    put(out, *one);
  } else if (const auto* list = std::get_if<std::vector<Granularity>>(&value)) {
    out = Json::array();
    for (const Granularity& granularity : *list) {
      put(out.emplace_back(), granularity);
    }
  }
}

void FieldWriter::put(Json& out, const Float8MMConfig& value) {
  out = object("Float8MMConfig",
               Json{{"emulate", value.emulate},
                    {"use_fast_accum", value.use_fast_accum},
                    {"pad_inner_dim", value.pad_inner_dim}});
}

void FieldWriter::put(Json& out, const ConfigPtr& value) {
  if (value) out = config_object(*value);
}

void FieldWriter::put(Json& out, const std::vector<FqnEntry>& value) {
  out = Json::object();
  // Appended to the vector below: operator[] would look every key up in it.
  std::vector<Json::object_t::value_type>& members =
      out.get_ref<Json::object_t&>();
  std::unordered_set<std::string> keys;
  for (const FqnEntry& entry : value) {
    const std::string key = NamePattern::parse(entry.key).json_key();
    if (!keys.insert(key).second) continue;
    put(members.emplace_back(key, nullptr).second, entry.config);
  }
}

std::string FieldConfig::to_json() const {
  // A name that is no UTF-8 cannot stand in JSON.
  return config_object(*this).dump(
      -1, ' ', false, Json::error_handler_t::replace);
}

Json config_object(const Config& config) {
  const auto* fields = dynamic_cast<const FieldConfig*>(&config);
  if (fields == nullptr) return Json::parse(config.to_json());
  Json out = Json::object();
  out["_type"] = std::string(config.type());
  out["_version"] = fields->version();
  out["_data"] = Json::object();
  FieldWriter writer(out["_data"]);
  FieldAccess::write(*fields, writer);
  return out;
}

}  // namespace mantissa
