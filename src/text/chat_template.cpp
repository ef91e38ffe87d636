#include <mantissa/text/chat_template.h>

#include "text/chat_evaluator.h"

namespace mantissa {

struct ChatTemplate::Program {
  text::chat::Nodes nodes;
};

ChatTemplate::ChatTemplate(std::string_view source)
    : program_(
          std::make_shared<const Program>(Program{text::chat::parse(source)})) {
}

std::string ChatTemplate::render(std::string_view variables,
                                 const ChatOptions& options) const {
  text::chat::Evaluator evaluator(options);
  return evaluator.run(program_->nodes, text::chat::read_variables(variables));
}

}  // namespace mantissa
