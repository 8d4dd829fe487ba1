// Bytes waiting for a slow client: parts that are owned, and parts that a thousand connections share.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <sys/uio.h>
#include <vector>

namespace st8::http {

// Not thread-safe.
class OutBuffer {
 public:
  void push(std::string bytes);
  void push(std::shared_ptr<const std::string> bytes);

  bool empty() const { return bytes_ == 0; }
  std::size_t bytes() const { return bytes_; }

  // Fills up to `count` parts from the front; answers how many.
  int front(iovec* parts, int count) const;
  // Drops what was written from the front.
  void consume(std::size_t bytes);
  // Drops everything but the part that may be written in half already.
  void drop_unbegun();
  void clear();

 private:
  struct Part {
    std::string owned;
    std::shared_ptr<const std::string> shared;
    std::string_view view() const { return shared ? std::string_view(*shared) : std::string_view(owned); }
  };
  std::vector<Part> parts_;
  std::size_t first_ = 0;   // Parts before this are written.
  std::size_t offset_ = 0;  // Written bytes of the first part.
  std::size_t bytes_ = 0;
};

}  // namespace st8::http
