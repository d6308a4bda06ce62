#include "agent/domain/image_reference.hpp"

#include <algorithm>
#include <cctype>

#include "agent/base/error.hpp"

namespace deploy::domain {

namespace {

bool alphanumeric(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; }

bool all_of(std::string_view text, std::string_view others) {
  return std::all_of(text.begin(), text.end(),
                     [others](char c) { return alphanumeric(c) || others.find(c) != std::string_view::npos; });
}

bool valid_repository(std::string_view text) {
  if (text.empty() || text.size() > 255 || !all_of(text, "._-/:[]")) return false;
  // Only a registry has a port.
  if (text.find(':', text.find('/') == std::string_view::npos ? 0 : text.find('/')) != std::string_view::npos)
    return false;
  const auto path = text.substr(text.rfind('/') == std::string_view::npos ? 0 : text.rfind('/') + 1);
  const bool lower = std::none_of(path.begin(), path.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
  return lower && alphanumeric(text.front()) && !path.empty() && alphanumeric(path.front()) &&
         alphanumeric(path.back()) && text.find("//") == std::string_view::npos;
}

bool valid_tag(std::string_view text) {
  return !text.empty() && text.size() <= 128 && (alphanumeric(text.front()) || text.front() == '_') &&
         all_of(text, "._-");
}

bool valid_digest(std::string_view text) {
  const auto colon = text.find(':');
  return colon != std::string_view::npos && colon > 0 && text.size() - colon - 1 >= 32 &&
         all_of(text.substr(0, colon), "+._-") &&
         std::all_of(text.begin() + static_cast<std::ptrdiff_t>(colon) + 1, text.end(),
                     [](char c) { return std::isxdigit(static_cast<unsigned char>(c)) != 0; });
}

}  // namespace

Reference parse_reference(std::string_view text) {
  Reference reference;
  std::string_view rest = text;
  const auto at = rest.find('@');
  bool valid = true;
  if (at != std::string_view::npos) {
    reference.digest = rest.substr(at + 1);
    valid = valid_digest(reference.digest);
    rest = rest.substr(0, at);
  }
  // A colon before the last slash belongs to the registry's port.
  const auto colon = rest.rfind(':');
  const auto slash = rest.rfind('/');
  if (colon != std::string_view::npos && (slash == std::string_view::npos || colon > slash)) {
    reference.tag = rest.substr(colon + 1);
    valid = valid && (reference.tag.empty() || valid_tag(reference.tag));
    rest = rest.substr(0, colon);
  }
  reference.repository = rest;
  if (!valid || !valid_repository(rest)) {
    throw Error(ErrorKind::invalid,
                "\"" + std::string(text) +
                    "\" is not an image reference; write it as repository:tag or repository@sha256:digest");
  }
  if (reference.tag.empty() && reference.digest.empty()) reference.tag = "latest";
  return reference;
}

std::string registry_of(const Reference& reference) {
  const auto slash = reference.repository.find('/');
  const auto first = reference.repository.substr(0, slash == std::string::npos ? 0 : slash);
  const bool is_host = first.find_first_of(".:") != std::string::npos || first == "localhost";
  return is_host && first != "index.docker.io" ? first : "docker.io";
}

std::string to_string(const Reference& reference) {
  if (!reference.digest.empty()) return reference.repository + "@" + reference.digest;
  return reference.repository + ":" + reference.tag;
}

}  // namespace deploy::domain
