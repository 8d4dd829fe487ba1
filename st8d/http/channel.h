// The far end of a response that stays open.
#pragma once

#include <memory>
#include <string>

#include "http/exchange.h"

namespace st8::http {

class Connection;

// Closes its connection when the last holder lets go of it.
class ConnectionChannel : public Channel {
 public:
  explicit ConnectionChannel(std::shared_ptr<Connection> connection);
  ~ConnectionChannel() override;
  bool send(std::shared_ptr<const std::string> bytes) override;
  std::size_t pending_bytes() const override;
  void close() override;
  bool closed() const override;

 private:
  const std::shared_ptr<Connection> connection_;
};

}  // namespace st8::http
