// A delivery: one webhook whose signature was verified; and a change: what it asks of our services.
#pragma once

#include <string>
#include <vector>

#include "agent/domain/ids.hpp"

namespace deploy::domain {

/// One commit that is to go out on one service.
struct Change {
  std::string service;
  std::string commit;   // 40 hexadecimal digits; empty: whatever `ref` is at the time
  std::string ref;      // a branch or a tag, as configured; empty: none
  std::string image;    // a reference given by hand; empty: as configured
  Commits others = {};  // of other repositories that want the service to be made again
};

/// What GitHub sent, after its signature was verified. Source: GitHub "Webhook events and payloads".
struct Delivery {
  DeliveryId id;
  std::string guid;             // X-GitHub-Delivery; not signed, so only a hint
  std::string event;            // X-GitHub-Event; not signed either
  std::string body_sha256;      // hexadecimal, of the raw body: what a replay is recognised by
  std::string repo;             // owner/name from the payload, for the record
  std::string outcome;          // what became of it, in words: "accepted", or why nothing is deployed
  std::vector<Change> changes;  // empty: nothing is deployed
  std::string config_commit;    // the config repo's branch was pushed to it; empty: no config change
};

}  // namespace deploy::domain
