// What a service whose file has `compose` runs with. Asked anew for each plan and each rollout; a revision keeps the
// answer. Blocking reads of small files.
#pragma once

#include <string>

#include "agent/adopt/compose_runner.hpp"
#include "agent/config/schema.hpp"
#include "agent/domain/service.hpp"
#include "agent/ports/process_runner.hpp"

namespace deploy::adopt {

/// What Compose is to read: with the profile that init gives to deployed services, which says who deploys one, and not
/// whether it is wanted.
ComposeFiles compose_files(const config::ComposeSource& source);

/// The service with the container that Compose would make for it, and under `vars` the files that its variables come
/// from. `network`, the shared one, is left out of its networks: every target joins it. Where several containers cannot
/// run at once and its file names no strategy, that is `recreate`.
/// Throws Error that names the service: not_found (Compose, one of its files, or a variable's value is not here),
/// invalid (what Compose refuses, or deployctl does not take over), timed_out. No message holds a value.
Task<domain::Service> with_compose(ports::ProcessRunner& runner, domain::Service service, config::ComposeSource source,
                                   std::string network);

}  // namespace deploy::adopt
