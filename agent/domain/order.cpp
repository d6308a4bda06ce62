#include "agent/domain/order.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include "agent/base/error.hpp"

namespace deploy::domain {

namespace {

/// Depth first over `depends_on`: a service is listed when all it depends on is.
class Walk {
 public:
  explicit Walk(const std::vector<Service>& services) : services_(services) {
    for (std::size_t index = 0; index < services.size(); ++index) indexes_.try_emplace(services[index].name, index);
    marks_.resize(services.size(), Mark::fresh);
    for (std::size_t index = 0; index < services.size(); ++index) visit(index);
  }

  std::vector<std::string> order;
  std::vector<std::vector<std::string>> cycles;

 private:
  enum class Mark { fresh, on_path, done };

  void visit(std::size_t index) {
    if (marks_[index] == Mark::done) return;
    if (marks_[index] == Mark::on_path) return add_cycle(index);
    marks_[index] = Mark::on_path;
    path_.push_back(index);
    for (const auto& name : services_[index].depends_on) {
      if (auto found = indexes_.find(name); found != indexes_.end()) visit(found->second);
    }
    path_.pop_back();
    marks_[index] = Mark::done;
    order.push_back(services_[index].name);
  }

  void add_cycle(std::size_t start) {
    std::vector<std::size_t> members(std::ranges::find(path_, start), path_.end());
    std::rotate(members.begin(), std::ranges::min_element(members), members.end());
    std::vector<std::string> names;
    for (auto index : members) names.push_back(services_[index].name);
    names.push_back(names.front());
    if (std::ranges::find(cycles, names) == cycles.end()) cycles.push_back(std::move(names));
  }

  const std::vector<Service>& services_;
  std::map<std::string, std::size_t> indexes_;
  std::vector<Mark> marks_;
  std::vector<std::size_t> path_;
};

void add_dependencies(const std::string& service, const std::vector<Service>& services, std::set<std::string>& all) {
  const auto found =
      std::find_if(services.begin(), services.end(), [&](const auto& other) { return other.name == service; });
  if (found == services.end()) return;
  for (const auto& name : found->depends_on) {
    if (all.insert(name).second) add_dependencies(name, services, all);
  }
}

}  // namespace

std::vector<std::string> dependency_order(const std::vector<Service>& services) {
  Walk walk(services);
  if (!walk.cycles.empty()) {
    throw Error(ErrorKind::invalid, "services depend on each other in a circle: " + cycle_text(walk.cycles.front()) +
                                        ": remove one of these from `depends_on`");
  }
  return std::move(walk.order);
}

std::vector<std::vector<std::string>> dependency_cycles(const std::vector<Service>& services) {
  return std::move(Walk(services).cycles);
}

std::string cycle_text(const std::vector<std::string>& cycle) {
  std::string text;
  for (const auto& name : cycle) text += (text.empty() ? "" : " -> ") + name;
  return text;
}

std::set<std::string> dependencies_of(const std::string& service, const std::vector<Service>& services) {
  std::set<std::string> all;
  add_dependencies(service, services, all);
  return all;
}

}  // namespace deploy::domain
