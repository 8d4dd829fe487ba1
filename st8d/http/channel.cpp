#include "http/channel.h"

#include <utility>

#include "http/connection.h"

namespace st8::http {

ConnectionChannel::ConnectionChannel(std::shared_ptr<Connection> connection) : connection_(std::move(connection)) {}
ConnectionChannel::~ConnectionChannel() { connection_->channel_close(); }
bool ConnectionChannel::send(std::shared_ptr<const std::string> bytes) {
  return connection_->channel_send(std::move(bytes));
}
std::size_t ConnectionChannel::pending_bytes() const { return connection_->channel_pending_bytes(); }
void ConnectionChannel::close() { connection_->channel_close(); }
bool ConnectionChannel::closed() const { return connection_->channel_closed(); }

}  // namespace st8::http
