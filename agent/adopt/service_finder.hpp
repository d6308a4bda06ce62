// Which of the containers that run are services that deployctl can deploy, and what is known of each: how it is called,
// on which port, from outside or not, and from what it is built. Databases, caches and Nginx are none. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/adopt/survey.hpp"

namespace deploy::adopt {

/// What the user says on the command line.
struct ServiceChoice {
  std::set<std::string> wanted;  // besides those that are found; names of services, containers or Compose's
  std::set<std::string> not_wanted;
};

struct FoundService {
  std::string name;
  InspectedContainer container;
  const ComposeProject* project = nullptr;  // of the survey; null: no Compose file defines it
  std::string compose_service;
  std::optional<ComposeService> compose;  // its definition there
  std::vector<std::string> names;         // by which others call it, its own first
  std::uint16_t port = 0;                 // that it listens on; 0: none is known
  std::string upstream;                   // the name that Nginx has or gets for it; empty: not reached from outside
  std::string nginx_address;              // "backend:8080", as Nginx calls it now
  const GitCheckout* checkout = nullptr;  // of the survey: what it is built from
  std::vector<std::string> depends_on;    // services of this list
  std::vector<std::string> asked;         // paths that somebody asks for its health, the likeliest first
  std::vector<std::string> notes;
};

struct FoundServices {
  std::vector<FoundService> services;  // in the order of their names
  std::string network;                 // that they share
  std::vector<std::string> notes;
  std::vector<std::string> problems;  // why there can be no proposal
};

/// `survey` outlives the result.
FoundServices find_services(const Survey& survey, const ServiceChoice& choice);

}  // namespace deploy::adopt
