// Method and path to handler. Built once, then read only.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/async.hpp"
#include "agent/http/message.hpp"

namespace deploy::http {

/// The values of a pattern's {name} segments, percent-decoded.
using Params = std::map<std::string, std::string>;

class Router {
 public:
  using Handler = std::function<Task<Response>(Request, Params)>;

  /// `pattern` is "/services/{service}/logs": a segment in braces matches any one segment that is not empty, and a
  /// literal segment is preferred to one in braces. GET routes answer HEAD too. Throws std::logic_error where the
  /// method has the pattern already.
  void add(std::string method, std::string_view pattern, Handler handler);

  /// Calls the route's handler. Unknown paths are answered 404, other methods 405 with Allow, and a malformed percent
  /// escape 400, each as a JSON error. The router must outlive the task.
  Task<Response> handle(Request request) const;

 private:
  struct Route {
    std::vector<std::string> pattern;
    std::map<std::string, Handler> handlers;  // by method
  };

  const Route* find(const std::vector<std::string>& segments) const;

  std::vector<Route> routes_;
};

}  // namespace deploy::http
