#include <sys/utsname.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <mantissa/core/version.h>
#include <mantissa/core/worker_pool.h>

#include "cli/command.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "cli/torch_half.h"
#include "kernels/select.h"

namespace mantissa::cli {
namespace {

struct Line {
  std::string component;
  std::string state;  // "ok", "absent", "refused", "set", "unset"
  std::string detail;
};

std::string compiler() {
#if defined(__clang__)
  return std::string("clang ") + __clang_version__;
#else
  return std::string("g++ ") + __VERSION__;
#endif
}

Line instruction_set(const char* component, bool present) {
  return {component, present ? "ok" : "absent", ""};
}

Line amx(const char* component, bool present) {
  return kernels::host_caps().amx_refused
             ? Line{component, "refused", kernels::kAmxRefused}
             : instruction_set(component, present);
}

Line torch_half() {
  const std::filesystem::path tool = torch_tool();
  if (std::filesystem::exists(tool)) {
    return {"libtorch", "ok", "eval, generate, embed, bench: " + tool.string()};
  }
  return {"libtorch", "absent", "no torch half: " + tool.string()};
}

Line environment(const char* variable, const char* meaning) {
  const char* value = std::getenv(variable);
  return {variable,
          value == nullptr ? "unset" : "set",
          value == nullptr ? meaning : value};
}

std::vector<Line> examine() {
  const kernels::Caps& caps = kernels::host_caps();
  utsname system{};
  uname(&system);
  std::size_t usable = 0;
  const auto list = kernels::all_kernels(caps);
  for (const auto& kernel : list) usable += kernel.refusal.empty() ? 1 : 0;
  return {
      {"mantissa", "ok", kVersion},
      {"compiler", "ok", compiler()},
      {"system",
       "ok",
       std::string(system.sysname) + " " + system.release + " " +
           system.machine},
      {"workers", "ok", std::to_string(default_workers()) + " by default (-j)"},
      instruction_set("AVX2", caps.avx2),
      instruction_set("AVX-512", caps.avx512),
      instruction_set("AVX-512 VNNI", caps.avx512vnni),
      instruction_set("AVX-512 BF16", caps.avx512bf16),
      amx("AMX-INT8", caps.amx_int8),
      amx("AMX-BF16", caps.amx_bf16),
      {"encoders", "ok", kernels::level_name(caps)},
      {"kernels",
       "ok",
       std::to_string(usable) + " of " + std::to_string(list.size()) +
           " usable (mantissa kernels)"},
      torch_half(),
      {"CUDA", "absent", "this version has no CUDA kernels"},
      environment("MANTISSA_CPU",
                  "caps the instructions: scalar, avx2, avx512, avx512vnni, "
                  "amx"),
      environment("MANTISSA_KERNEL", "op=name: the kernel asked first"),
  };
}

}  // namespace

void add_doctor_command(CLI::App& app, Run& run) {
  auto json = std::make_shared<bool>(false);
  CLI::App* command = app.add_subcommand(
      "doctor", "What this build and this machine can do, one line each");
  command->add_flag("--json", *json, "Machine-readable output");
  command->callback([json, &run] {
    run = [json] {
      const std::vector<Line> lines = examine();
      if (*json) {
        nlohmann::ordered_json out = {{"schema_version", 1},
                                      {"components", nlohmann::json::array()}};
        for (const Line& line : lines) {
          out["components"].push_back({{"component", line.component},
                                       {"state", line.state},
                                       {"detail", line.detail}});
        }
        print_json(json_text(out));
        return 0;
      }
      Table table({"component", "state", "detail"});
      for (const Line& line : lines) {
        table.add({line.component, line.state, line.detail});
      }
      print_text(table.text());
      return 0;
    };
  });
}

}  // namespace mantissa::cli
