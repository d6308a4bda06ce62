#include <iostream>

#include "agent/ctl/app.hpp"

int main(int argc, char** argv) {
  return deploy::ctl::run(argc, argv, std::cout, std::cerr, deploy::ctl::process_environment());
}
