#include <cstdio>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <mantissa/configs/registry.h>

#include "cli/command.h"
#include "cli/measured_quality.h"
#include "cli/table.h"

namespace mantissa::cli {
namespace {

struct Options {
  bool json = false;
  bool all = false;
};

// What a config costs and keeps on the demo model, as measured.
std::string bits_of(const ConfigInfo& info) {
  const MeasuredQuality* measured = find_measured(info.short_name);
  return measured == nullptr
             ? ""
             : fmt::format("{:.2f}", measured->bits_per_weight);
}

std::string sqnr_of(const ConfigInfo& info) {
  const MeasuredQuality* measured = find_measured(info.short_name);
  return measured == nullptr ? "" : fmt::format("{:.1f}", measured->sqnr_db);
}

std::string configs_json() {
  nlohmann::ordered_json out = {{"schema_version", 1},
                                {"configs", nlohmann::json::array()}};
  for (const ConfigInfo& info : configs()) {
    nlohmann::ordered_json row = {
        {"type", info.type},
        {"name", info.short_name},
        {"available", info.availability == Availability::Now},
        {"summary", info.summary},
        {"fits", info.fits},
        {"fits_not", info.fits_not}};
    if (const MeasuredQuality* measured = find_measured(info.short_name)) {
      row["bits_per_weight"] = measured->bits_per_weight;
      row["sqnr_db"] = measured->sqnr_db;
      row["measured_as"] = measured->words;
    }
    out["configs"].push_back(row);
  }
  return out.dump(2) + "\n";
}

std::string configs_text(const Options& options) {
  Table table({"name", "bits/weight", "SQNR dB", "makes", "fits", "fits not"},
              {1, 2});
  std::string later;
  for (const ConfigInfo& info : configs()) {
    if (info.availability == Availability::Later) {
      later += fmt::format("{}{}", later.empty() ? "" : ", ", info.short_name);
      if (!options.all) continue;
    }
    table.add({std::string(info.short_name),
               bits_of(info),
               sqnr_of(info),
               std::string(info.summary),
               std::string(info.fits),
               std::string(info.fits_not)});
  }
  std::string out = table.text();
  out += fmt::format(
      "\nBits and SQNR: the weights that the config quantizes in {}.\n"
      "Set fields as NAME:field=value,field=value; torchao's names and "
      "defaults.\n",
      kMeasuredModel);
  if (!options.all) out += "Read and written, not yet made: " + later + ".\n";
  return out;
}

}  // namespace

void add_configs_command(CLI::App& app, Run& run) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand(
      "configs", "List the configs: bits per weight, quality, where they fit");
  command->add_flag("--json", options->json, "Machine-readable output");
  command->add_flag("--all", options->all, "Those of later versions too");
  command->callback([options, &run] {
    run = [options] {
      const std::string text =
          options->json ? configs_json() : configs_text(*options);
      std::fputs(text.c_str(), stdout);
      return 0;
    };
  });
}

}  // namespace mantissa::cli
