#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <mantissa/core/error.h>

#include "configs/read_config.h"

namespace mantissa {
namespace {

// Version 1 of these configs stored an AffineQuantizedTensor, whose layout is
// now said by other fields. Each function says one config's version 1 in terms
// of version 2, or returns what it cannot say.

// The layout's class name, "" if the field is absent, null or no object.
std::string layout_of(const Json& data) {
  const auto layout = data.find("layout");
  if (layout == data.end() || !layout->is_object()) return {};
  const auto type = layout->find("_type");
  return type == layout->end() || !type->is_string() ? std::string()
                                                     : type->get<std::string>();
}

std::string drop_layout(Json& data, std::string_view plain) {
  const std::string layout = layout_of(data);
  if (!layout.empty() && layout != plain) return "layout " + layout;
  data.erase("layout");
  return {};
}

Json per_group(const Json& group_size) {
  return {{"_type", "PerGroup"},
          {"_version", 1},
          {"_data", {{"group_size", group_size}}}};
}

std::string int4_weight_only(Json& data) {
  std::string misfit = drop_layout(data, "TensorCoreTiledLayout");
  if (!misfit.empty()) return misfit;
  data["int4_packing_format"] = "tile_packed_to_4d";
  data["int4_choose_qparams_algorithm"] =
      data.value("use_hqq", Json(false)) == true ? "hqq" : "tinygemm";
  for (const char* field : {"use_hqq", "zero_point_domain", "preserve_zero"}) {
    data.erase(field);
  }
  return {};
}

std::string int8_weight_only(Json& data) {
  const Json group_size = data.value("group_size", Json());
  data.erase("granularity");  // version 1 did not look at it
  if (!group_size.is_null()) data["granularity"] = per_group(group_size);
  data["group_size"] = nullptr;
  return {};
}

std::string int8_dynamic_int8(Json& data) {
  if (data.value("weight_only_decode", Json(false)) == true) {
    return "weight_only_decode";
  }
  data.erase("granularity");
  return drop_layout(data, "PlainLayout");
}

std::string intx(Json& data) { return drop_layout(data, "QDQLayout"); }

std::string unchanged(Json&) { return {}; }

struct Upgrade {
  std::string_view type;
  std::string (*from_1_to_2)(Json&);
};

constexpr Upgrade kUpgrades[] = {
    {"Int4WeightOnlyConfig", int4_weight_only},
    {"Int8WeightOnlyConfig", int8_weight_only},
    {"Int8DynamicActivationInt8WeightConfig", int8_dynamic_int8},
    {"IntxWeightOnlyConfig", intx},
    {"Int8DynamicActivationIntxWeightConfig", intx},
    {"Float8WeightOnlyConfig", unchanged},
    {"Float8DynamicActivationFloat8WeightConfig", unchanged},
};

}  // namespace

void upgrade_fields(std::string_view type,
                    std::int64_t stored,
                    std::int64_t current,
                    Json& data,
                    ReadContext& context) {
  if (stored == 1 && current == 2) {
    for (const Upgrade& upgrade : kUpgrades) {
      if (upgrade.type != type) continue;
      const std::string misfit = upgrade.from_1_to_2(data);
      if (misfit.empty()) {
        context.warnings.push_back(fmt::format(
            "{}: version 1 was read in the terms of version 2; codes and "
            "scales can differ from those of the older torchao",
            type));
        return;
      }
      throw Error(
          ErrorKind::Usage,
          fmt::format("{}: version 1 with {} has no counterpart in version 2; "
                      "choose one of today's configs (`mantissa configs`)",
                      type,
                      misfit));
    }
  }
  throw Error(ErrorKind::Usage,
              fmt::format("{}: expected version {}, got version {}; {}",
                          type,
                          current,
                          stored,
                          stored > current ? "a newer torchao wrote it"
                                           : "its meaning is not known"));
}

}  // namespace mantissa
