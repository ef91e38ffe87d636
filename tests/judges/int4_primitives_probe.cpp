// Runs the int4 primitives on every tensor of a file. A tensor's name says what
// to do, colon separated; the results carry its name and a suffix.
//   hqq:NBITS:GROUP:AXIS:ITERATIONS:COMPUTE_DTYPE:FORM:LABEL
//   tinygemm:BLOCK:TARGET_DTYPE:MIN:MAX:SCALE_DTYPE:ZERO_DTYPE:OUT_DTYPE:LABEL
//     BLOCK is a list "1x32"

#include <cstdio>
#include <exception>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include <mantissa/primitives/hqq.h>
#include <mantissa/primitives/tinygemm.h>

#include "support/exchange.h"

namespace {

using mantissa::HostTensor;

std::vector<std::string> split(const std::string& text, char separator = ':') {
  std::vector<std::string> words;
  std::istringstream stream(text);
  for (std::string word; std::getline(stream, word, separator);) {
    words.push_back(word);
  }
  return words;
}

void run_hqq(const std::string& name,
             const HostTensor& input,
             std::map<std::string, HostTensor>& out) {
  const std::vector<std::string> words = split(name);
  const mantissa::HqqArgs args{
      .nbits = std::stoi(words.at(1)),
      .group_size = std::stoll(words.at(2)),
      .iterations = std::stoi(words.at(4)),
      .axis = std::stoi(words.at(3)),
      .compute_dtype = mantissa::dtype_from_name(words.at(5)).value(),
      .form = words.at(6) == "raw" ? mantissa::HqqForm::Raw
                                   : mantissa::HqqForm::Tinygemm};
  const mantissa::HqqResult result =
      mantissa::choose_qparams_and_quantize_affine_hqq(input.view(), args);
  out[name + "/codes"] = result.codes;
  out[name + "/scale"] = result.scale;
  out[name + "/zero_point"] = result.zero_point;
}

void run_tinygemm(const std::string& name,
                  const HostTensor& input,
                  std::map<std::string, HostTensor>& out) {
  const std::vector<std::string> words = split(name);
  mantissa::Shape block;
  for (const std::string& extent : split(words.at(1), 'x')) {
    block.push_back(std::stoll(extent));
  }
  const auto dtype = [&](std::size_t word) {
    return mantissa::dtype_from_name(words.at(word)).value();
  };
  const mantissa::DType target = dtype(2);
  const mantissa::QuantRange range{std::stoll(words.at(3)),
                                   std::stoll(words.at(4))};
  const mantissa::QParams q = mantissa::choose_qparams_affine_tinygemm(
      input.view(),
      block,
      target,
      {.range = range, .scale_dtype = dtype(5), .zero_point_dtype = dtype(6)});
  const mantissa::QParamsView view{q.scale.view(), q.zero_point.view()};
  const HostTensor codes = mantissa::quantize_affine_tinygemm(
      input.view(), block, view, target, range);
  out[name + "/scale"] = q.scale;
  out[name + "/zero_point"] = q.zero_point;
  out[name + "/codes"] = codes;
  out[name + "/back"] = mantissa::dequantize_affine_tinygemm(
      codes.view(), block, view, target, range, dtype(7));
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc != 3) throw std::runtime_error("usage: probe IN OUT");
    std::map<std::string, HostTensor> out;
    for (const auto& [name, tensor] :
         mantissa::support::load_tensors(argv[1])) {
      if (name.starts_with("hqq:")) run_hqq(name, tensor, out);
      if (name.starts_with("tinygemm:")) run_tinygemm(name, tensor, out);
    }
    mantissa::support::save_tensors(argv[2], out);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
