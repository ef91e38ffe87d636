// chat_template_probe CASES OUT: CASES is a JSON array of {"template",
// "variables", "date"}; OUT gets {"text"} or {"error", "kind"} for each.
#include <cstdio>
#include <fstream>
#include <string>

#include <nlohmann/json.hpp>

#include <mantissa/core/error.h>
#include <mantissa/text/chat_template.h>

int main(int argc, char** argv) {
  using Json = nlohmann::ordered_json;
  if (argc != 3) {
    std::fputs("usage: chat_template_probe CASES OUT\n", stderr);
    return 2;
  }
  std::ifstream file(argv[1]);
  Json answers = Json::array();
  for (const Json& item : Json::parse(file)) {
    try {
      const mantissa::ChatTemplate chat(item["template"].get<std::string>());
      answers.push_back(
          {{"text",
            chat.render(item["variables"].dump(),
                        {.date = item["date"].get<std::string>()})}});
    } catch (const mantissa::Error& error) {
      answers.push_back({{"error", error.what()},
                         {"kind", mantissa::exit_code(error.kind())}});
    }
  }
  std::ofstream(argv[2]) << answers;
  return 0;
}
