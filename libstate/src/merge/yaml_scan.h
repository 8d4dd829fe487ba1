// Finds the block structure of a YAML document in its text: which lines belong to which key or list item.
//
// Only what can be taken apart line by line is: block maps and block lists of one document. Flow collections and scalars
// of every kind stay whole. What is found is held against yaml-cpp's reading of the document, key by key and place by
// place; where the two differ, and where anchors, aliases, tags, complex keys, tabs or several documents occur, there is
// no structure, and the document is merged by lines.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "merge/value.h"

namespace st8::state::merge {

// nullopt: not YAML, or not of that part of it. A scalar's token is its tag and text as YAML reads them, a flow
// collection's that of all in it. Cost: a few times that of yaml-cpp.
std::optional<Value> scan_yaml(std::string_view text);
// Whether yaml-cpp reads it at all.
bool is_yaml(std::string_view text);

}  // namespace st8::state::merge
