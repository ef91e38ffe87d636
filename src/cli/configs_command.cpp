#include <cstdio>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <mantissa/configs/registry.h>

#include "cli/command.h"
#include "cli/measured_quality.h"
#include "cli/table.h"
#include "cli/terminal.h"

namespace mantissa::cli {
namespace {

struct ConfigsOptions {
  bool json = false;
  bool all = false;
};

std::string configs_json() {
  nlohmann::ordered_json out = {
      {"schema_version", 1},
      {"configs", nlohmann::json::array()},
      {"perplexity_of", kPerplexityText},
      {"perplexity_by", kPerplexityModel},
      {"perplexity_compute_dtype", kPerplexityCompute},
      {"unquantized_perplexity", kUnquantizedPerplexity},
      {"decode_tok_s_on", kDecodeMachine}};
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
      row["megabytes"] = measured->megabytes;
      row["perplexity"] = measured->perplexity;
      row["kl_divergence"] = measured->kl_divergence;
      row["decode_tok_s"] = {{"1", measured->decode_tok_s[0]},
                             {"2", measured->decode_tok_s[1]}};
      row["measured_as"] = measured->words;
      if (!measured->on.empty()) row["measured_on"] = measured->on;
    }
    out["configs"].push_back(row);
  }
  for (const MeasuredFile& file : measured_files()) {
    out["files"].push_back(
        {{"made_by", file.made_by},
         {"megabytes", file.megabytes},
         {"bits_per_weight", file.bits_per_weight},
         {"perplexity", file.perplexity},
         {"kl_divergence", file.kl_divergence},
         {"decode_tok_s",
          {{"1", file.decode_tok_s[0]}, {"2", file.decode_tok_s[1]}}}});
  }
  return out.dump(2) + "\n";
}

std::string entry_of(const ConfigInfo& info) {
  std::string out(info.short_name);
  if (const MeasuredQuality* measured = find_measured(info.short_name)) {
    out += fmt::format("\n  as {}", measured->words);
    if (!measured->on.empty()) out += fmt::format(" on {}", measured->on);
    out += fmt::format(
        "\n  {:.2f} bits a weight, {:.1f} MB, SQNR {:.1f} dB, perplexity "
        "{:.2f}, KL {:.4f}, decode {} / {} tok/s",
        measured->bits_per_weight,
        measured->megabytes,
        measured->sqnr_db,
        measured->perplexity,
        measured->kl_divergence,
        measured->decode_tok_s[0],
        measured->decode_tok_s[1]);
  }
  if (info.availability == Availability::Later) {
    out += ": not available in this version";
  }
  return out +
         fmt::format("\n  makes     {}\n  fits      {}\n  fits not  {}\n\n",
                     info.summary,
                     info.fits,
                     info.fits_not);
}

std::string files_text() {
  Table table({"file", "MB", "bits", "perplexity", "KL", "decode tok/s"},
              {1, 2, 3, 4, 5});
  for (const MeasuredFile& file : measured_files()) {
    table.add(
        {std::string(file.made_by),
         fmt::format("{:.1f}", file.megabytes),
         fmt::format("{:.2f}", file.bits_per_weight),
         fmt::format("{:.2f}", file.perplexity),
         fmt::format("{:.4f}", file.kl_divergence),
         fmt::format("{} / {}", file.decode_tok_s[0], file.decode_tok_s[1])});
  }
  return table.text();
}

std::string configs_text(const ConfigsOptions& options) {
  std::string out;
  std::string later;
  for (const ConfigInfo& info : configs()) {
    const bool now = info.availability == Availability::Now;
    if (now || options.all) out += entry_of(info);
    if (!now) {
      later += fmt::format("{}{}", later.empty() ? "" : ", ", info.short_name);
    }
  }
  out += fmt::format(
      "Set fields as NAME:field=value,field=value; torchao's names and "
      "defaults.\nBits and median SQNR: the quantized weights of {}.\n"
      "Perplexity, KL divergence from the unquantized model, MB, tok/s: {}, "
      "{}, "
      "computed in {}; {:.2f} unquantized; 1 / 2 threads on {}.\n"
      "\nFiles of the same model by size: --target-size, in place of a config, "
      "chooses the bits of each weight; beside llama.cpp's files\n\n{}\n",
      kMeasuredModel,
      kPerplexityText,
      kPerplexityModel,
      kPerplexityCompute,
      kUnquantizedPerplexity,
      kDecodeMachine,
      files_text());
  if (!options.all) out += "Read and written, not yet made: " + later + "\n";
  return out;
}

}  // namespace

void add_configs_command(CLI::App& app, Run& run) {
  auto options = std::make_shared<ConfigsOptions>();
  CLI::App* command = app.add_subcommand(
      "configs", "List the configs: bits per weight, quality, where they fit");
  command->add_flag("--json", options->json, "Machine-readable output");
  command->add_flag("--all", options->all, "Those of later versions too");
  command->callback([options, &run] {
    run = [options] {
      const std::string text =
          options->json ? configs_json() : configs_text(*options);
      options->json ? print_json(text) : print_text(text);
      return 0;
    };
  });
}

}  // namespace mantissa::cli
