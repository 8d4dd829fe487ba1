// A plan, and a rollout on its way, as text. Pure: from the answers of /v1/plan and /v1/rollouts/{id}.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "render/output.h"
#include "wire/json.h"

namespace st8::ctl {

// Lines without their ends.
using Lines = std::vector<std::string>;

// Waves, targets and why each is in its wave, what changes there, gates, risk factor by factor, hash and expiry.
Lines plan_lines(const wire::JsonValue& plan, const Output& output);

// One line for a list: `r-3 namespace=shop branch=main revision=7 phase=running targets=2/8 ...`.
std::string rollout_line(const wire::JsonValue& summary);

// The tree: head, then each wave with its targets and gates. `now_micros` 0: no time left is shown. With `rows` above 0 at most so many
// lines: waves that are not at hand are shown in one line, and then the targets of the one at hand are counted.
Lines rollout_tree(const wire::JsonValue& detail, const Output& output, std::int64_t now_micros, std::size_t rows = 0);

// `2026-11-21T10:00:00Z op.failed target=web-1 operation=health ...`
std::string event_line(const wire::JsonValue& event);

bool is_final_phase(std::string_view phase);

// What there is to know and to do now: a few sentences, the commands among them.
Lines rollout_explanation(const wire::JsonValue& detail);

// "0.4s", "12s", "3m05s", "2h10m".
std::string short_duration(std::int64_t micros);

// Cuts a line to so many columns; escape sequences take none, and colours end with the line.
std::string cut_to_width(std::string_view line, std::size_t columns);

}  // namespace st8::ctl
