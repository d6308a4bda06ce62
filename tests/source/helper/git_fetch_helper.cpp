// The program that the mirror's tests run in place of `deployd git-fetch`.
#include <iostream>
#include <string_view>

#include "agent/source/git_fetch.hpp"

int main(int count, char** arguments) {
  if (count != 2 || std::string_view(arguments[1]) != "git-fetch") return 2;
  return deploy::source::git_fetch_main(std::cin, std::cout);
}
