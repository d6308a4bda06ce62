// Makes a proposal true: writes its files, lets Compose and Nginx judge them, makes Nginx's container anew where that
// was allowed, and puts everything back where anything fails. Containers whose ports Nginx gets are stopped right
// before that, because two cannot have one port; they are removed last, when nothing is put back any more.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "agent/adopt/change_journal.hpp"
#include "agent/adopt/proposal.hpp"
#include "agent/adopt/survey.hpp"
#include "agent/ports/container_engine.hpp"
#include "agent/ports/process_runner.hpp"

namespace deploy::adopt {

struct ApplyTools {
  ports::ContainerEngine& engine;
  ports::ProcessRunner& runner;
  std::string instance;  // of a new routing network
  std::function<void(const std::string&)> say;
};

struct Applied {
  std::string copies;                                   // the folder with what was there before; empty: nothing was
  std::optional<std::chrono::milliseconds> nginx_away;  // how long making Nginx's container anew took
  std::optional<std::chrono::milliseconds> ports_away;  // how long nobody answered on the ports that it got
};

/// `folder`: where copies of what was there before are kept. Throws Error; everything is as it was before then, but for
/// what the message says.
Task<Applied> apply_proposal(ApplyTools tools, Survey survey, Proposal proposal, std::string folder);

/// Where a run was cut short that made Nginx's container anew: does that again, because its files are undone by now,
/// and starts the containers whose ports Nginx was to get. Where all was done but to remove these, does that. Returns
/// what was done, in words; empty: nothing had to be.
Task<std::string> settle_interrupted(ApplyTools tools, ChangeJournal::Interrupted interrupted);

}  // namespace deploy::adopt
