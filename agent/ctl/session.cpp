#include "agent/ctl/session.hpp"

#include <nlohmann/json.hpp>

namespace deploy::ctl {

Look Session::look() const {
  const bool colours =
      environment.out_is_terminal && environment.variable("NO_COLOR").empty() && environment.variable("TERM") != "dumb";
  return {environment, colours};
}

void Session::print(const nlohmann::json& value) const {
  out << value.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << "\n";
}

void Session::say(std::string_view message) const { err << "deployctl: " << message << std::endl; }

}  // namespace deploy::ctl
