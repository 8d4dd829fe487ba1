// Is it alive, is it ready, how is it doing.
#include "api/access.h"
#include "api/handlers.h"
#include "api/watch_hub.h"
#include "wire/json.h"

namespace st8::api {
namespace {

http::Response text_response(std::string body, int status = 200) {
  http::Response response;
  response.status = status;
  response.set_header("Content-Type", "text/plain; charset=utf-8");
  response.body = std::move(body);
  return response;
}

Reply healthz(Call&) { return text_response("ok\n"); }

// True and O(1): it looks at two flags, and does no work that could itself be what is slow. Statistics take the engine's lock.
Reply readyz(Call& call) {
  if (call.context.draining && call.context.draining()) return text_response("draining\n", 503);
  if (!call.store().writable())
    return text_response("the store takes no writes: a write or a sync failed; restart st8d\n", 503);
  return text_response("ok\n");
}

// The engine's own lines are "name value".
void engine_lines(http::MetricsWriter& out, std::string_view detail) {
  while (!detail.empty()) {
    const std::size_t end = detail.find('\n');
    const std::string_view line = detail.substr(0, end);
    detail.remove_prefix(end == std::string_view::npos ? detail.size() : end + 1);
    const std::size_t space = line.rfind(' ');
    if (space == std::string_view::npos || space == 0) continue;
    std::string name(line.substr(0, space));
    for (char& c : name) {
      const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
      if (!plain) c = '_';
    }
    if (!name.starts_with("rocksdb_")) name.insert(0, "rocksdb_");
    char* stop = nullptr;
    const std::string digits(line.substr(space + 1));
    const double value = std::strtod(digits.c_str(), &stop);
    if (stop == digits.c_str()) continue;
    out.family(name, "untyped", "A statistic of the storage engine.");
    out.sample(value);
  }
}

Reply metrics(Call& call) {
  std::string text = call.context.metrics.render();
  const state::StoreStats stats = call.store().stats();
  http::MetricsWriter out(text);
  const auto one = [&out](std::string_view name, std::string_view type, std::string_view help, auto value) {
    out.family(name, type, help);
    out.sample(static_cast<double>(value));
  };
  one("st8_commits_total", "counter", "Revisions made.", stats.commits);
  one("st8_commit_groups_total", "counter", "Batches written with one sync each.", stats.commit_groups);
  one("st8_commit_queue_length", "gauge", "Writers that wait for the committer.", stats.commit_queue_length);
  one("st8_tree_nodes_written_total", "counter", "Tree nodes written.", stats.nodes_written);
  one("st8_tree_node_bytes_written_total", "counter", "Bytes of tree nodes written.", stats.node_bytes_written);
  one("st8_node_cache_hits_total", "counter", "Tree nodes found in memory.", stats.node_cache_hits);
  one("st8_node_cache_misses_total", "counter", "Tree nodes read from the engine.", stats.node_cache_misses);
  one("st8_node_cache_bytes", "gauge", "Memory of the tree nodes held.", stats.node_cache_bytes);
  one("st8_content_cache_hits_total", "counter", "Contents of documents found in memory.", stats.content_cache_hits);
  one("st8_content_cache_misses_total", "counter", "Contents of documents looked for in memory, and not there.",
      stats.content_cache_misses);
  one("st8_content_cache_bytes", "gauge", "Memory of the contents held; some of it lent by the tree nodes.",
      stats.content_cache_bytes);
  one("st8_store_writable", "gauge", "0 after a failed write or sync, until a restart.", stats.writable ? 1 : 0);
  one("st8_engine_gets_total", "counter", "Point reads of the engine.", stats.engine.gets);
  one("st8_engine_scans_total", "counter", "Range reads of the engine.", stats.engine.scans);
  one("st8_engine_commits_total", "counter", "Batches committed to the engine.", stats.engine.commits);
  one("st8_engine_syncs_total", "counter", "Syncs of the engine's log.", stats.engine.syncs);
  one("st8_engine_bytes_written_total", "counter", "Bytes of keys and values handed to the engine.",
      stats.engine.bytes_written);
  one("st8_engine_disk_bytes", "gauge", "Bytes of the engine's live files.", stats.engine.disk_bytes);
  one("st8_engine_memory_bytes", "gauge", "Bytes of the engine's buffers and caches.", stats.engine.memory_bytes);
  one("st8_watchers", "gauge", "Open streams of changes.", call.context.hub.watchers());
  one("st8_watch_events_total", "counter", "Events handed to streams.", call.context.hub.events_sent());
  engine_lines(out, stats.engine.detail);
  http::Response response;
  response.set_header("Content-Type", std::string(http::Metrics::kContentType));
  response.body = std::move(text);
  return response;
}

Reply status(Call& call) {
  Query query(call.request);
  ST8_API_TRY(query.finish());
  const state::StoreStats stats = call.store().stats();
  const auth::Principal& who = *call.principal;
  std::string text;
  wire::JsonWriter out(text);
  out.begin_object().field("version", call.context.version);
  out.key("store").begin_object();
  out.field("commits", stats.commits)
      .field("commit_groups", stats.commit_groups)
      .field("commit_queue_length", stats.commit_queue_length)
      .field("node_cache_bytes", stats.node_cache_bytes)
      .field("disk_bytes", stats.engine.disk_bytes)
      .field("memory_bytes", stats.engine.memory_bytes)
      .field("syncs", stats.engine.syncs);
  out.end_object();
  const auto up =
      std::chrono::duration_cast<std::chrono::seconds>(call.context.clock.monotonic() - call.context.started);
  out.field("uptime_seconds", std::int64_t{up.count()});
  out.field("time", format_rfc3339(call.context.clock.now()));
  out.key("whoami").begin_object().field("name", who.name).field("anonymous", who.anonymous);
  out.key("allow").begin_object();
  const auto list = [&out](std::string_view name, const std::vector<std::string>& texts) {
    out.key(name).begin_array();
    for (const std::string& item : texts) out.string(item);
    out.end_array();
  };
  list("namespaces", who.allow.namespaces);
  list("branches", who.allow.branches);
  out.field("key_prefix", who.allow.key_prefix);
  out.key("verbs").begin_array();
  for (const auth::Verb verb : {auth::Verb::kRead, auth::Verb::kWrite, auth::Verb::kAdmin}) {
    if (who.has(verb)) out.string(auth::verb_name(verb));
  }
  out.end_array().end_object().end_object();
  out.field("writable", stats.writable).field("draining", call.context.draining && call.context.draining());
  for (const auto& part : call.context.status_parts) part(call, out);
  out.end_object();
  return json_response(std::move(text));
}

}  // namespace

void add_health_routes(Router& router) {
  router.add({"GET", "/healthz", Access::kOpen, BodyKind::kNone, "", healthz});
  router.add({"GET", "/readyz", Access::kOpen, BodyKind::kNone, "", readyz});
  router.add({"GET", "/metrics", Access::kOpen, BodyKind::kNone, "", metrics});
  router.add({"GET", "/v1/status", Access::kAnyToken, BodyKind::kNone, "", status});
}

}  // namespace st8::api
