// Image references: "registry:5000/team/app:tag", "app@sha256:…". Source: the distribution project's reference grammar.
#pragma once

#include <string>
#include <string_view>

namespace deploy::domain {

struct Reference {
  std::string repository;  // as written, with its registry
  std::string tag;         // "latest" where neither tag nor digest is given: the engine would pull every tag
  std::string digest;      // "sha256:…"; empty: none
  bool operator==(const Reference&) const = default;
};

/// Throws Error(invalid) for what is not a reference.
Reference parse_reference(std::string_view text);

/// The registry that holds it, with its port: "ghcr.io", "127.0.0.1:5000"; "docker.io" where none is named.
std::string registry_of(const Reference& reference);

/// repository:tag or repository@digest.
std::string to_string(const Reference& reference);

}  // namespace deploy::domain
