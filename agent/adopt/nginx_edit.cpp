#include "agent/adopt/nginx_edit.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <string_view>
#include <utility>

#include "agent/adopt/nginx_levels.hpp"
#include "agent/adopt/nginx_lines.hpp"
#include "agent/adopt/nginx_service_edit.hpp"

namespace deploy::adopt {

namespace {

using Level = NginxFinding::Level;

/// The text with these changes, none of which overlap.
std::string with_replacements(std::string text, const std::vector<NginxReplacement>& in_order) {
  for (auto one = in_order.rbegin(); one != in_order.rend(); ++one) {
    text.replace(one->range.begin, one->range.end - one->range.begin, one->text);
  }
  return text;
}

class ConfEdit {
 public:
  ConfEdit(const NginxConf& conf, const NginxWish& wish) : conf_(conf), wish_(wish) {}

  NginxEdit run() {
    if (conf_.http() == nullptr) {
      edit_.findings.push_back({Level::left, conf_.files().front().path, "",
                                "has no http {} block, so nothing in it passes requests on; is it Nginx's main file?"});
      for (const auto& service : wish_.services)
        edit_.services.push_back({service.service, true, false, false, "", {}});
      return std::move(edit_);
    }
    for (const auto& service : wish_.services) {
      take(edit_service(conf_, service, wish_.folder, is_included()));
    }
    include_folder();
    name_variables();
    name_streams();
    name_unread();
    write_files();
    return std::move(edit_);
  }

 private:
  void take(NginxServiceEdit service) {
    renamed_ = renamed_ || service.renames;
    replacements_.insert(replacements_.end(), service.replacements.begin(), service.replacements.end());
    edit_.findings.insert(edit_.findings.end(), service.findings.begin(), service.findings.end());
    edit_.services.push_back(std::move(service.outcome));
  }

  bool is_included() const {
    return std::ranges::any_of(conf_.inside(*conf_.http(), "include"), [&](const auto* include) {
      const auto pattern = conf_.pattern_of(*include);
      return pattern == wish_.folder + "/*.conf" || pattern == wish_.folder + "/*";
    });
  }

  /// At the end of http {}, so that no server of the folder comes before one of the users'.
  void include_folder() {
    if (is_included()) return;
    const auto line = fmt::format("include {};", as_nginx_word(wish_.folder + "/*.conf"));
    const auto& http = *conf_.http();
    if (conf_.files()[http.file].editable) {
      replacements_.push_back(last_line_in_block(conf_.files()[http.file].text, http, line));
      edit_.findings.push_back({Level::changed, conf_.place(http), "", fmt::format("http {{}} ends with `{}`", line)});
      return;
    }
    for (const auto* inner : conf_.inside(http)) {
      const auto& file = conf_.files()[inner->file];
      if (inner->file == http.file || !file.editable) continue;
      replacements_.push_back(last_line_of_file(inner->file, file.text, line));
      edit_.findings.push_back({Level::changed, file.path, "", fmt::format("ends with `{}`", line)});
      return;
    }
    edit_.findings.push_back({Level::left, conf_.place(http), "",
                              fmt::format("`{}` is missing in http {{}}, and no file that could hold it can be changed "
                                          "from here; add it",
                                          line)});
  }

  void name_variables() {
    for (const auto& pass : conf_.passes()) {
      if (!pass.variables) continue;
      edit_.findings.push_back(
          {Level::left, conf_.place(*pass.directive), "",
           fmt::format("`{}` takes its destination from a variable, so nobody can tell before a request "
                       "comes which service it is for; write the upstream's name in its place, or "
                       "leave it if it is not for these services",
                       shown(*pass.directive))});
    }
    if (!renamed_) return;
    for (const auto* directive : conf_.naming_the_proxied()) {
      edit_.findings.push_back(
          {Level::note, conf_.place(*directive), "",
           fmt::format("`{}` holds $proxy_host or $proxy_port, which give the upstream's name and port 80 "
                       "from now on",
                       shown(*directive))});
    }
  }

  void name_streams() {
    for (const auto* directive : conf_.streams()) {
      const auto address = parse_nginx_address(directive->argument(1));
      if (!address) continue;
      for (const auto& service : wish_.services) {
        const bool leads =
            std::ranges::any_of(service.addresses, [&](const auto& own) { return same_host(own.host, address->host); });
        if (!leads) continue;
        edit_.findings.push_back(
            {Level::left, conf_.place(*directive), service.service,
             fmt::format("`{}` passes TCP or UDP on, in stream {{}}; deployctl switches HTTP only, so "
                         "these connections end at each rollout",
                         shown(*directive))});
      }
    }
  }

  void name_unread() {
    for (const auto* include : conf_.inside(*conf_.http(), "include")) {
      if (!conf_.is_unread(*include)) continue;
      edit_.findings.push_back(
          {Level::note, conf_.place(*include), "",
           fmt::format("{} could not be read; whether it has to do with these services is not known",
                       conf_.pattern_of(*include))});
    }
  }

  void write_files() {
    std::map<std::size_t, std::vector<NginxReplacement>> by_file;
    for (auto& one : replacements_) by_file[one.file].push_back(std::move(one));
    for (auto& [number, list] : by_file) {
      std::ranges::stable_sort(list, {}, [](const auto& one) { return std::pair(one.range.begin, one.range.end); });
      auto file = conf_.files()[number];
      file.text = with_replacements(std::move(file.text), list);
      edit_.files.push_back(std::move(file));
    }
  }

  const NginxConf& conf_;
  const NginxWish& wish_;
  NginxEdit edit_;
  std::vector<NginxReplacement> replacements_;
  bool renamed_ = false;
};

}  // namespace

std::string to_string(const NginxFinding& finding) {
  return fmt::format("{}: {}{}{}", finding.place, finding.service, finding.service.empty() ? "" : ": ", finding.text);
}

NginxEdit edit_nginx_conf(const NginxConf& conf, const NginxWish& wish) { return ConfEdit(conf, wish).run(); }

}  // namespace deploy::adopt
