#include "agent/adopt/compose_edit.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include "agent/adopt/compose_lines.hpp"
#include "agent/adopt/lists.hpp"
#include "agent/adopt/settings_text.hpp"

namespace deploy::adopt {

namespace {

std::string blanks(std::size_t count) { return std::string(count, ' '); }

class FileEdit {
 public:
  FileEdit(const std::string& file, const std::string& text, const ComposeWish& wish)
      : file_(file), text_(text), lines_(text), wish_(wish) {}

  ComposeEdit run() {
    const auto services = lines_.find("services");
    if (services) {
      for (const auto& service : lines_.keys(*services)) edit(service);
    }
    if (network_used_) declare_network();
    ComposeEdit edit{lines_.text(), std::move(changed_), std::move(problems_)};
    if (!edit.problems.empty()) {
      edit.text = text_;
      edit.changed.clear();
    }
    return edit;
  }

 private:
  void edit(const ComposeKey& service) {
    const bool deployed = has(wish_.deployed, service.name);
    const bool is_nginx = !wish_.nginx.service.empty() && service.name == wish_.nginx.service;
    if (!service.value.empty()) {
      if (deployed || is_nginx) {
        problem(service.at, fmt::format("the service {} is written in one line; write its keys in lines of their own",
                                        service.name));
      }
      return;
    }
    if (deployed) give_profile(service);
    if (has(wish_.without_ports, service.name)) drop_ports(service);
    if (!deployed) drop_dependencies(service);
    if (is_nginx) edit_nginx(service);
  }

  std::size_t inner_indent(const ComposeKey& service) const {
    const auto keys = lines_.keys(service);
    return keys.empty() ? service.indent + lines_.step() : keys.front().indent;
  }

  void give_profile(const ComposeKey& service) {
    if (lines_.find(service, "profiles")) return;  // a habitual `up -d` leaves it alone already
    lines_.insert(service.at + 1, fmt::format("{}profiles: [{}]", blanks(inner_indent(service)), deployed_profile));
    change(service.at,
           fmt::format("the service {} gets the profile {}, so that `docker compose up -d` starts no second "
                       "copy of it",
                       service.name, deployed_profile));
  }

  void drop_ports(const ComposeKey& service) {
    const auto ports = lines_.find(service, "ports");
    if (!ports) return;
    lines_.remove(ports->at, ports->end);
    change(ports->at, fmt::format("the ports of {} go: Nginx listens there", service.name));
  }

  /// Compose refuses a service that depends on one whose profile is not asked for.
  void drop_dependencies(const ComposeKey& service) {
    const auto depends = lines_.find(service, "depends_on");
    if (!depends) return;
    std::vector<std::string> kept;
    std::vector<std::string> dropped;
    const auto sort_out = [&](const std::string& name) {
      const bool goes = has(wish_.deployed, name);
      (goes ? dropped : kept).push_back(name);
      return goes;
    };
    if (!depends->value.empty()) {
      const auto names = ComposeLines::flow_items(depends->value);
      if (names.empty()) return problem(depends->at, "depends_on is written in one line, and not as [a, b]");
      for (const auto& name : names) sort_out(name);
      if (dropped.empty()) return;
      lines_.replace(depends->at, fmt::format("{}depends_on: {}", blanks(depends->indent), yaml_list(kept)));
    } else {
      for (const auto& [at, name] : lines_.items(*depends)) {
        if (sort_out(name)) lines_.remove(at, at + 1);
      }
      for (const auto& key : lines_.keys(*depends)) {
        if (sort_out(key.name)) lines_.remove(key.at, key.end);
      }
    }
    if (dropped.empty()) return;
    if (kept.empty()) lines_.remove(depends->at, depends->end);
    change(depends->at, fmt::format("{} depends on {} no more, which Compose does not start now", service.name,
                                    fmt::join(dropped, ", ")));
  }

  void edit_nginx(const ComposeKey& service) {
    const auto& wish = wish_.nginx;
    if (!wish.mount.empty()) add_mount(service);
    for (const auto& port : wish.ports) add_port(service, port);
    if (!wish.network.empty()) join_network(service);
  }

  void add_mount(const ComposeKey& service) {
    const auto& wish = wish_.nginx;
    const auto volumes = lines_.find(service, "volumes");
    if (volumes) {
      const auto all = values_of(*volumes);
      const bool there = std::ranges::any_of(
          all, [&](const auto& item) { return item.find(":" + wish.mount_inside) != std::string::npos; });
      if (there) return;
    }
    if (append(service, "volumes", volumes, wish.mount)) {
      change(service.at, fmt::format("{} sees the folder of upstreams: {}", service.name, wish.mount));
    }
  }

  void add_port(const ComposeKey& service, const std::string& port) {
    const auto ports = lines_.find(service, "ports");
    if (ports && has(values_of(*ports), port)) return;
    if (append(service, "ports", ports, port)) {
      change(service.at, fmt::format("{} publishes the port {}", service.name, port));
    }
  }

  std::vector<std::string> values_of(const ComposeKey& list) const {
    auto all = ComposeLines::flow_items(list.value);
    for (const auto& [at, text] : lines_.items(list)) all.push_back(text);
    return all;
  }

  /// One more item at the end of a service's list.
  bool append(const ComposeKey& service, const std::string& key, const std::optional<ComposeKey>& list,
              const std::string& item) {
    const auto written = "\"" + item + "\"";
    if (!list) {
      const auto indent = inner_indent(service);
      auto& added = added_lists_[key];  // several items of a key that is not there yet
      if (!std::exchange(added, true)) lines_.insert(service.end, fmt::format("{}{}:", blanks(indent), key));
      lines_.insert(service.end, fmt::format("{}- {}", blanks(indent + lines_.step()), written));
      return true;
    }
    const auto items = lines_.items(*list);
    if (!items.empty()) {
      const auto& last = lines_.line(items.back().first);
      const auto indent = last.find_first_not_of(' ');
      lines_.append(list->end - 1, fmt::format("{}- {}", blanks(indent), written));
      return true;
    }
    if (list->value.starts_with('[') && list->value.ends_with(']')) {
      auto& flow = flow_[list->at];
      if (flow.empty()) flow = list->value;
      const bool empty = ComposeLines::flow_items(flow).empty();
      flow.insert(flow.rfind(']'), (empty ? "" : ", ") + written);
      lines_.replace(list->at, fmt::format("{}{}: {}", blanks(list->indent), key, flow));
      return true;
    }
    problem(list->at,
            fmt::format("`{}` of {} is no list of lines; write it so, or add {} yourself", key, service.name, written));
    return false;
  }

  std::string entry() const {
    const auto& wish = wish_.nginx;
    return fmt::format("{}: {{ ipv4_address: {}, aliases: {} }}", wish.network, wish.address, yaml_list(wish.aliases));
  }

  void joined(const ComposeKey& service) {
    network_used_ = true;
    change(service.at, fmt::format("{} is on the network {} as {}, with the names {}", service.name,
                                   wish_.nginx.network, wish_.nginx.address, fmt::join(wish_.nginx.aliases, ", ")));
  }

  void join_network(const ComposeKey& service) {
    const auto& wish = wish_.nginx;
    if (const auto mode = lines_.find(service, "network_mode")) {
      return problem(mode->at, fmt::format("{} has `network_mode`, and so cannot be on the network {}; remove it",
                                           service.name, wish.network));
    }
    const auto indent = inner_indent(service);
    const auto deeper = indent + lines_.step();
    const auto networks = lines_.find(service, "networks");
    if (!networks) {
      lines_.insert(service.end, fmt::format("{}networks:", blanks(indent)));
      lines_.insert(service.end, fmt::format("{}default:", blanks(deeper)));
      lines_.insert(service.end, blanks(deeper) + entry());
      return joined(service);
    }
    const auto keys = lines_.keys(*networks);
    if (const auto known = std::ranges::find(keys, wish.network, &ComposeKey::name); known != keys.end()) {
      return renew_entry(service, *known);
    }
    const auto items = lines_.items(*networks);
    if (!keys.empty()) {
      lines_.append(networks->end - 1, blanks(keys.front().indent) + entry());
    } else if (!items.empty()) {
      for (const auto& [at, name] : items) {
        const auto& line = lines_.line(at);
        const auto comment = line.find(" #");
        lines_.replace(
            at, fmt::format("{}{}:{}", blanks(deeper), name, comment == std::string::npos ? "" : line.substr(comment)));
      }
      lines_.append(networks->end - 1, blanks(deeper) + entry());
    } else if (const auto names = ComposeLines::flow_items(networks->value); !names.empty()) {
      lines_.replace(networks->at, fmt::format("{}networks:", blanks(networks->indent)));
      for (const auto& name : names) lines_.insert(networks->at + 1, fmt::format("{}{}:", blanks(deeper), name));
      lines_.insert(networks->at + 1, blanks(deeper) + entry());
    } else {
      return problem(networks->at, fmt::format("`networks` of {} is written in one line; write it in lines, or add {} "
                                               "yourself",
                                               service.name, entry()));
    }
    joined(service);
  }

  /// It is there; it may lack the names of services that came later.
  void renew_entry(const ComposeKey& service, const ComposeKey& known) {
    const auto wanted = blanks(known.indent) + entry();
    network_used_ = true;
    if (lines_.line(known.at) == wanted) return;
    if (!known.value.starts_with('{')) return;  // written by hand: theirs
    lines_.replace(known.at, wanted);
    joined(service);
  }

  void declare_network() {
    const auto& name = wish_.nginx.network;
    const auto networks = lines_.find("networks");
    const auto step = lines_.step();
    if (!networks) {
      const auto end = lines_.size();
      if (end > 0 && !lines_.line(end - 1).empty()) lines_.insert(end, "");
      lines_.insert(end, "networks:");
      lines_.insert(end, fmt::format("{}{}:", blanks(step), name));
      lines_.insert(end, fmt::format("{}external: true", blanks(2 * step)));
      return change(end, fmt::format("the network {} is deployctl's", name));
    }
    const auto keys = lines_.keys(*networks);
    if (std::ranges::find(keys, name, &ComposeKey::name) != keys.end()) return;
    if (!networks->value.empty() && networks->value != "{}") {
      return problem(networks->at, fmt::format("`networks` is written in one line; write it in lines, or add {}: {{ "
                                               "external: true }} yourself",
                                               name));
    }
    if (networks->value == "{}") lines_.replace(networks->at, "networks:");
    const auto indent = keys.empty() ? step : keys.front().indent;
    lines_.append(networks->end - 1, fmt::format("{}{}:", blanks(indent), name));
    lines_.append(networks->end - 1, fmt::format("{}external: true", blanks(indent + step)));
    change(networks->at, fmt::format("the network {} is deployctl's", name));
  }

  void change(std::size_t at, std::string what) { changed_.push_back(fmt::format("{}:{}: {}", file_, at + 1, what)); }
  void problem(std::size_t at, std::string what) { problems_.push_back(fmt::format("{}:{}: {}", file_, at + 1, what)); }

  const std::string& file_;
  const std::string& text_;
  ComposeLines lines_;
  const ComposeWish& wish_;
  bool network_used_ = false;
  std::map<std::string, bool> added_lists_;
  std::map<std::size_t, std::string> flow_;  // lists on one line, as they are by now
  std::vector<std::string> changed_;
  std::vector<std::string> problems_;
};

}  // namespace

ComposeEdit edit_compose(const std::string& file, const std::string& text, const ComposeWish& wish) {
  return FileEdit(file, text, wish).run();
}

}  // namespace deploy::adopt
