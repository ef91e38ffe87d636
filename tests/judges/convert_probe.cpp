// convert_probe IN OUT: writes "a>dtype" for each tensor "a>dtype" of IN, with
// `a` converted to dtype; "a?dtype" becomes the codes of dtype read as float32
// (the tensor holds uint8 codes, packed as convert() expects them).
#include <cstring>
#include <map>
#include <string>

#include <mantissa/primitives/convert.h>

#include "support/exchange.h"

using namespace mantissa;

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  std::map<std::string, HostTensor> out;
  for (const auto& [key, tensor] : support::load_tensors(argv[1])) {
    const std::size_t mark = key.find_first_of(">?");
    const DType dtype = dtype_from_name(key.substr(mark + 1)).value();
    if (key[mark] == '>') {
      HostTensor to = converted(tensor.view(), dtype);
      // Packed codes go back as bytes: the judge has no such dtype.
      if (bit_width(dtype) < 8) {
        HostTensor bytes(DType::UInt8, {to.nbytes()});
        std::memcpy(
            bytes.data(), to.data(), static_cast<std::size_t>(to.nbytes()));
        to = bytes;
      }
      out.emplace(key, to);
    } else {
      const ConstTensorView codes{
          dtype, {tensor.nbytes() * 8 / bit_width(dtype)}, tensor.data()};
      out.emplace(key, converted(codes, DType::Float32));
    }
  }
  support::save_tensors(argv[2], out);
  return 0;
}
