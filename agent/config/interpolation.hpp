// ${VAR} in texts, as Compose writes it. Source: Compose specification, "Interpolation". Pure functions; a variable
// that is not set and has no default is reported, where Compose takes an empty text.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace deploy::config {

/// A variable's value; nullopt: not set.
using Lookup = std::function<std::optional<std::string>(const std::string& name)>;

/// A variable that a text cannot do without.
struct MissingVariable {
  std::string name;
  bool may_not_be_empty = false;  // ${NAME:?message}
  std::string message;            // of ${NAME:?message} or ${NAME?message}, as written
};

/// The text with $NAME, ${NAME}, ${NAME:-default}, ${NAME-default}, ${NAME:?message}, ${NAME?message}, ${NAME:+other},
/// ${NAME+other} and $$ replaced; defaults may hold variables. Requires that template_problem(text) finds nothing.
std::variant<std::string, MissingVariable> interpolate(std::string_view text, const Lookup& lookup);

/// What is wrong with the text as a template, e.g. "has a `${` without its `}`"; nullopt: nothing. Never quotes the
/// text.
std::optional<std::string> template_problem(std::string_view text);

/// The position after the "}" of the "${" that stands at `start`; nullopt where there is none.
std::optional<std::size_t> variable_end(std::string_view text, std::size_t start);

}  // namespace deploy::config
