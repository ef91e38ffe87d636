#include <fmt/format.h>

#include <mantissa/core/version.h>

#include "checkpoint/report/escape.h"
#include "checkpoint/report/forms.h"
#include "checkpoint/report/html_sections.h"

namespace mantissa::report {
namespace {

// Lightness alone separates the marks; the colours are cividis' own. On paper
// the page is black on white and no wide figure is cut.
constexpr const char* kStyle = R"(
:root { color-scheme: light; --ink: #16181d; --soft: #565b66;
  --line: #d5d8de; --mark: #123570; --pale: #f4f5f7; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1180px; padding: 24px 16px 48px;
  color: var(--ink); background: #fff;
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Liberation Sans", sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 4px;
  overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 40px 0 4px; }
h3 { font-size: 1rem; margin: 24px 0 4px; }
p { margin: 4px 0 12px; max-width: 75ch; }
small { color: var(--soft); }
.tiles { display: flex; flex-wrap: wrap; margin: 20px 0;
  border: solid var(--line); border-width: 1px 0 0 1px; }
.tiles div { flex: 1 1 150px; padding: 10px 14px;
  border: solid var(--line); border-width: 0 1px 1px 0; }
.tiles dt { color: var(--soft); font-size: .85rem; }
.tiles dd { margin: 0; font-size: 1.15rem; font-variant-numeric: tabular-nums; }
.tiles small { display: block; font-size: .8rem; }
table { border-collapse: collapse; width: 100%; font-size: .87rem; }
th, td { text-align: left; padding: 4px 10px 4px 0; vertical-align: top;
  border-bottom: 1px solid var(--line); }
thead th { color: var(--soft); font-weight: 600; }
.bars th[scope] { font-weight: 400; white-space: nowrap; }
.n { text-align: right; white-space: nowrap;
  font-variant-numeric: tabular-nums; }
.name { font-family: ui-monospace, "DejaVu Sans Mono", monospace;
  font-size: .8rem; overflow-wrap: anywhere; }
td.name { min-width: 13em; }
.bars .plot { width: 60%; } .experts .plot { width: 22%; min-width: 90px; }
svg { display: block; max-width: none; }
svg text { font: 11px/1 system-ui, "Liberation Sans", sans-serif;
  fill: var(--ink); }
svg text[fill="#fff"] { fill: #fff; } svg text[fill="#000"] { fill: #000; }
.bar, .strip { width: 100%; height: 18px; }
.whole { fill: var(--soft); } .shrinks, .column { fill: var(--mark); }
.grows { fill: #fff; stroke: var(--mark); stroke-width: 2;
  vector-effect: non-scaling-stroke; }
.axis { stroke: var(--soft); }
.key { margin: 4px 0 8px; max-width: 100%; }
.scroll { overflow-x: auto; padding-bottom: 4px; }
.pair { display: flex; flex-wrap: wrap; gap: 16px 40px;
  align-items: flex-start; }
.pair > div { min-width: 0; max-width: 100%; }
.pair > .rest { flex: 1 1 430px; } .pair h3 { margin-top: 8px; }
figure { margin: 0; max-width: 100%; flex: 1 1 340px; min-width: 0; }
figcaption { margin-bottom: 8px; max-width: 60ch; }
.bad { border-left: 4px solid var(--ink); padding-left: 12px; }
pre { background: var(--pale); padding: 10px 12px; font-size: .8rem;
  white-space: pre-wrap; overflow-wrap: anywhere; margin: 4px 0 12px; }
summary { cursor: pointer; font-weight: 600; margin-top: 32px; }
.facts th { font-weight: 400; color: var(--soft); white-space: nowrap; }
.facts td { overflow-wrap: anywhere; }
@media (max-width: 560px) {
  body { padding: 16px 12px 32px; } .wide { display: none; }
  .bars .plot { width: 45%; } .experts td.name { min-width: 8em; }
  .experts .plot { min-width: 70px; } .facts th { white-space: normal; } }
@media print {
  @page { margin: 15mm; }
  body { padding: 0; max-width: none; font-size: 10pt; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  h2, h3 { break-after: avoid; } tr, figure, .tiles { break-inside: avoid; }
  .scroll { overflow: visible; } .scroll > svg { max-width: 100%;
    height: auto; } details:not([open]) { display: none; } }
)";

}  // namespace

std::string html_page(const Input& input, const Facts& facts) {
  const std::string model = html(model_name(input));
  std::string out = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, "
      "initial-scale=1\">\n<meta http-equiv=\"Content-Security-Policy\" "
      "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
      "<title>{}, quantized</title>\n<style>{}</style>\n</head>\n<body>\n",
      model,
      kStyle);
  out += fmt::format(
      "<h1><bdi>{}</bdi>, quantized</h1>\n<p><small>{}{}written by Mantissa "
      "{}</small></p>\n",
      model,
      html(input.plan.names.architecture),
      input.plan.names.architecture.empty() ? "" : ", ",
      kVersion);
  out += key_numbers_section(input, facts);
  out += size_section(input, facts);
  out += quality_section(input, facts);
  out += histogram_section(input, facts);
  out += expert_section(input);
  out += decision_section(input);
  out += provenance_section(input, facts);
  out += tensor_section(input);
  return out + "</body>\n</html>\n";
}

}  // namespace mantissa::report
