// Closed-loop load on etcd over gRPC: N clients over M connections, asynchronous, one request a client under way.
#include <CLI/CLI.hpp>
#include <atomic>
#include <chrono>
#include <grpcpp/grpcpp.h>
#include <memory>
#include <random>
#include <thread>

#include "etcd_kv.grpc.pb.h"
#include "load/histogram.h"

namespace st8::bench {
namespace {

using SteadyClock = std::chrono::steady_clock;

struct Options {
  int port = 0;
  std::size_t clients = 64;
  std::size_t connections = 64;
  std::size_t threads = 2;
  double seconds = 5;
  double warmup = 0.5;
  std::string workload = "put";
  std::size_t bytes = 1024;
  std::size_t keys = 1000;
};

std::shared_ptr<grpc::Channel> channel_to(int port) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // A connection of its own.
  return grpc::CreateCustomChannel("127.0.0.1:" + std::to_string(port), grpc::InsecureChannelCredentials(), arguments);
}

class Client {
 public:
  Client(const Options& options, std::size_t index, std::shared_ptr<grpc::Channel> channel,
         grpc::CompletionQueue* queue)
      : options_(options), stub_(etcdserverpb::KV::NewStub(channel)), queue_(queue), random_(index + 7), index_(index) {
    value_.assign(options.bytes, 'x');
  }

  void start() {
    context_ = std::make_unique<grpc::ClientContext>();
    began_ = SteadyClock::now();
    const std::string key = "services/service-" + std::to_string(random_() % options_.keys) + "/config.json";
    for (std::size_t i = 0; i < 16 && i < value_.size(); ++i) value_[i] = static_cast<char>('a' + random_() % 26);
    if (options_.workload == "put") {
      etcdserverpb::PutRequest request;
      request.set_key(key);
      request.set_value(value_);
      put_ = stub_->AsyncPut(context_.get(), request, queue_);
      put_->Finish(&put_answer_, &status_, this);
    } else if (options_.workload == "txn") {
      // The nearest thing to a commit: compare a head, then write the document, a history record and the head.
      const std::string head = "heads/branch-" + std::to_string(index_);
      etcdserverpb::TxnRequest request;
      auto* compare = request.add_compare();
      compare->set_result(1);
      compare->set_target(2);
      compare->set_key(head);
      compare->set_mod_revision(-1);
      for (int i = 0; i < 3; ++i) {
        auto* put = request.add_success()->mutable_request_put();
        put->set_key(i == 0   ? key + "/" + std::to_string(index_)
                     : i == 1 ? "history/" + std::to_string(index_) + "/" + std::to_string(count_)
                              : head);
        put->set_value(i == 0 ? value_ : i == 1 ? value_.substr(0, 200) : std::to_string(count_));
      }
      txn_ = stub_->AsyncTxn(context_.get(), request, queue_);
      txn_->Finish(&txn_answer_, &status_, this);
    } else {
      etcdserverpb::RangeRequest request;
      request.set_key(key);
      range_ = stub_->AsyncRange(context_.get(), request, queue_);
      range_->Finish(&range_answer_, &status_, this);
    }
  }

  // The error, or nothing.
  std::string finish(Samples* samples) {
    if (!status_.ok()) return status_.error_message();
    if (options_.workload == "txn" && !txn_answer_.succeeded()) return "the transaction's comparison failed";
    ++count_;
    if (samples != nullptr) {
      samples->add(static_cast<std::uint64_t>(
          std::chrono::duration_cast<std::chrono::nanoseconds>(SteadyClock::now() - began_).count()));
    }
    return {};
  }
  std::uint64_t answers() const { return count_; }

 private:
  const Options& options_;
  std::unique_ptr<etcdserverpb::KV::Stub> stub_;
  grpc::CompletionQueue* queue_;
  std::mt19937_64 random_;
  std::size_t index_;
  std::string value_;
  std::unique_ptr<grpc::ClientContext> context_;
  std::unique_ptr<grpc::ClientAsyncResponseReader<etcdserverpb::PutResponse>> put_;
  std::unique_ptr<grpc::ClientAsyncResponseReader<etcdserverpb::TxnResponse>> txn_;
  std::unique_ptr<grpc::ClientAsyncResponseReader<etcdserverpb::RangeResponse>> range_;
  etcdserverpb::PutResponse put_answer_;
  etcdserverpb::TxnResponse txn_answer_;
  etcdserverpb::RangeResponse range_answer_;
  grpc::Status status_;
  std::uint64_t count_ = 0;
  SteadyClock::time_point began_;
};

int run(const Options& options) {
  std::vector<std::shared_ptr<grpc::Channel>> channels;
  for (std::size_t i = 0; i < std::min(options.connections, options.clients); ++i)
    channels.push_back(channel_to(options.port));
  std::vector<std::unique_ptr<grpc::CompletionQueue>> queues;
  for (std::size_t t = 0; t < options.threads; ++t) queues.push_back(std::make_unique<grpc::CompletionQueue>());
  std::vector<std::unique_ptr<Client>> clients;
  for (std::size_t i = 0; i < options.clients; ++i) {
    clients.push_back(
        std::make_unique<Client>(options, i, channels[i % channels.size()], queues[i % queues.size()].get()));
  }
  std::vector<RunReport> reports(options.threads);
  std::vector<std::uint64_t> at_warm(options.clients, 0);
  const auto warm = SteadyClock::now() +
                    std::chrono::duration_cast<SteadyClock::duration>(std::chrono::duration<double>(options.warmup));
  const auto end =
      warm + std::chrono::duration_cast<SteadyClock::duration>(std::chrono::duration<double>(options.seconds));
  std::vector<std::thread> pool;
  for (std::size_t t = 0; t < options.threads; ++t) {
    pool.emplace_back([&, t] {
      std::size_t under_way = 0;
      for (std::size_t i = t; i < clients.size(); i += options.threads) {
        clients[i]->start();
        ++under_way;
      }
      bool measuring = options.warmup <= 0;
      void* tag = nullptr;
      bool ok = false;
      while (under_way > 0 && queues[t]->Next(&tag, &ok)) {
        const auto now = SteadyClock::now();
        if (!measuring && now >= warm) {
          measuring = true;
          for (std::size_t i = t; i < clients.size(); i += options.threads) at_warm[i] = clients[i]->answers();
        }
        auto& client = *static_cast<Client*>(tag);
        const bool late = now >= end;
        if (const auto error = client.finish(measuring && !late ? &reports[t].latency : nullptr); !error.empty()) {
          ++reports[t].errors;
          if (reports[t].first_error.empty()) reports[t].first_error = error;
          --under_way;
          continue;
        }
        if (late) {
          --under_way;
        } else {
          client.start();
        }
      }
    });
  }
  for (auto& thread : pool) thread.join();
  RunReport total;
  total.seconds = options.seconds;
  for (auto& report : reports) {
    total.latency.merge(report.latency);
    total.errors += report.errors;
    if (total.first_error.empty()) total.first_error = report.first_error;
  }
  for (std::size_t i = 0; i < clients.size(); ++i)
    total.answers_per_connection.push_back(clients[i]->answers() - at_warm[i]);
  total.print();
  for (auto& queue : queues) queue->Shutdown();
  return total.errors == 0 ? 0 : 1;
}

// One stream a connection; a put, then the time until every stream has told of it.
int run_watch(const Options& options, std::size_t rounds) {
  std::vector<std::shared_ptr<grpc::Channel>> channels;
  for (std::size_t i = 0; i < options.connections; ++i) channels.push_back(channel_to(options.port));
  grpc::CompletionQueue queue;
  struct Watcher {
    grpc::ClientContext context;
    std::unique_ptr<etcdserverpb::Watch::Stub> stub;
    std::unique_ptr<grpc::ClientAsyncReaderWriter<etcdserverpb::WatchRequest, etcdserverpb::WatchResponse>> stream;
    etcdserverpb::WatchResponse answer;
  };
  std::vector<std::unique_ptr<Watcher>> watchers;
  void* tag = nullptr;
  bool ok = false;
  etcdserverpb::WatchRequest request;
  request.mutable_create_request()->set_key("watched");
  for (auto& channel : channels) {
    auto watcher = std::make_unique<Watcher>();
    watcher->stub = etcdserverpb::Watch::NewStub(channel);
    watcher->stream = watcher->stub->AsyncWatch(&watcher->context, &queue, watcher.get());
    if (!queue.Next(&tag, &ok) || !ok) return 1;
    watcher->stream->Write(request, watcher.get());
    if (!queue.Next(&tag, &ok) || !ok) return 1;
    watcher->stream->Read(&watcher->answer, watcher.get());
    if (!queue.Next(&tag, &ok) || !ok) return 1;
    watchers.push_back(std::move(watcher));
  }
  for (auto& watcher : watchers) watcher->stream->Read(&watcher->answer, watcher.get());
  auto kv = etcdserverpb::KV::NewStub(channel_to(options.port));
  RunReport report;
  const auto start = SteadyClock::now();
  for (std::size_t round = 0; round < rounds; ++round) {
    grpc::ClientContext context;
    etcdserverpb::PutRequest put;
    put.set_key("watched");
    put.set_value(std::string(options.bytes, static_cast<char>('a' + round % 26)));
    etcdserverpb::PutResponse answer;
    const auto began = SteadyClock::now();
    std::thread publisher([&] { kv->Put(&context, put, &answer); });
    for (std::size_t got = 0; got < watchers.size(); ++got) {
      if (!queue.Next(&tag, &ok) || !ok) return 1;
      auto* watcher = static_cast<Watcher*>(tag);
      watcher->stream->Read(&watcher->answer, watcher);
    }
    report.latency.add(static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(SteadyClock::now() - began).count()));
    publisher.join();
  }
  report.seconds = std::chrono::duration<double>(SteadyClock::now() - start).count();
  report.answers_per_connection.assign(watchers.size(), rounds);
  report.print();
  std::fflush(stdout);
  std::_Exit(0);  // The streams have no end of their own.
}

}  // namespace
}  // namespace st8::bench

int main(int argc, char** argv) {
  st8::bench::Options options;
  std::size_t rounds = 20;
  CLI::App app{"Closed-loop gRPC load on etcd at 127.0.0.1"};
  app.add_option("--port", options.port)->required();
  app.add_option("--clients", options.clients);
  app.add_option("--connections", options.connections);
  app.add_option("--threads", options.threads);
  app.add_option("--seconds", options.seconds);
  app.add_option("--warmup", options.warmup);
  app.add_option("--workload", options.workload)->check(CLI::IsMember({"put", "txn", "range", "watch"}));
  app.add_option("--bytes", options.bytes);
  app.add_option("--keys", options.keys);
  app.add_option("--rounds", rounds);
  CLI11_PARSE(app, argc, argv);
  return options.workload == "watch" ? st8::bench::run_watch(options, rounds) : st8::bench::run(options);
}
