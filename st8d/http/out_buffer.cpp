#include "http/out_buffer.h"

#include <utility>

namespace st8::http {

void OutBuffer::push(std::string bytes) {
  if (bytes.empty()) return;
  bytes_ += bytes.size();
  parts_.push_back({std::move(bytes), nullptr});
}

void OutBuffer::push(std::shared_ptr<const std::string> bytes) {
  if (!bytes || bytes->empty()) return;
  bytes_ += bytes->size();
  parts_.push_back({{}, std::move(bytes)});
}

int OutBuffer::front(iovec* parts, int count) const {
  int filled = 0;
  std::size_t offset = offset_;
  for (std::size_t i = first_; i < parts_.size() && filled < count; ++i) {
    const std::string_view view = parts_[i].view().substr(offset);
    offset = 0;
    parts[filled++] = {const_cast<char*>(view.data()), view.size()};
  }
  return filled;
}

void OutBuffer::consume(std::size_t bytes) {
  bytes_ -= bytes;
  while (bytes > 0) {
    const std::size_t rest = parts_[first_].view().size() - offset_;
    if (bytes < rest) {
      offset_ += bytes;
      break;
    }
    bytes -= rest;
    offset_ = 0;
    parts_[first_++] = {};
  }
  if (bytes_ == 0) {
    clear();
  } else if (first_ > 64) {
    parts_.erase(parts_.begin(), parts_.begin() + static_cast<std::ptrdiff_t>(first_));
    first_ = 0;
  }
}

void OutBuffer::drop_unbegun() {
  if (bytes_ == 0) return;
  parts_.resize(first_ + 1);
  bytes_ = parts_[first_].view().size() - offset_;
}

void OutBuffer::clear() {
  parts_.clear();
  if (parts_.capacity() > 8) parts_.shrink_to_fit();
  first_ = offset_ = bytes_ = 0;
}

}  // namespace st8::http
