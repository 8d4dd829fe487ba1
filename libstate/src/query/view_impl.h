// What a View stands on.
#pragma once

#include "pipeline/store_core.h"
#include "st8/state/view.h"

namespace st8::state {

class ViewImpl {
 public:
  ViewImpl(pipeline::StoreCore& store, NamespaceName ns_name, keyspace::NamespaceId ns_id, RevisionNumber number,
           TreeRoot tree_root, pipeline::Pin held)
      : core(store),
        name_space(std::move(ns_name)),
        ns(ns_id),
        revision(number),
        root(std::move(tree_root)),
        nodes(*store.engine, store.nodes, ns_id),
        pin(std::move(held)) {
    pin.stand_on(ns_id, number);
  }

  pipeline::StoreCore& core;
  const NamespaceName name_space;
  const keyspace::NamespaceId ns;
  const RevisionNumber revision;
  const TreeRoot root;
  const tree::StoredNodes nodes;
  pipeline::Pin pin;
};

}  // namespace st8::state
