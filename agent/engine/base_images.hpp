// The images that a Dockerfile begins from. Pure. Source: Docker's "Dockerfile reference", FROM.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace deploy::engine {

/// The references after FROM, each once, without earlier stages, `scratch`, and those that hold a variable.
std::vector<std::string> base_images(std::string_view dockerfile);

}  // namespace deploy::engine
