// What must be true when nothing goes wrong any more and the agent has nothing left to do.
#pragma once

#include <string>

#include "tests/sim/stage.hpp"
#include "tests/sim/users.hpp"
#include "tests/sim/watch.hpp"

namespace deploy::sim {

/// Tells the watch which promise is broken, if any. `state_lost`: at some time.
void check_settled(tests::Agent& agent, Stage& stage, Watch& watch, const Users& users, bool state_lost);

/// What is stored about rollouts, as text, to be compared.
std::string contents_of(store::Database& database);

}  // namespace deploy::sim
