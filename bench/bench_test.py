"""The harness itself: figures that are right, rows that cannot lie, pages that can be written. Run by ctest."""
import math
import os
import socket
import sys
import tempfile
import threading
import types
import unittest
import xml.dom.minidom

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import quiet  # noqa: E402
import report  # noqa: E402
import run  # noqa: E402
import servers  # noqa: E402


def bench():
    made = run.Bench(types.SimpleNamespace(quick=True, scratch=tempfile.gettempdir(), results=None))
    os.rmdir(made.scratch)
    return made


class Rows(unittest.TestCase):
    def test_the_ratio_is_the_median_of_neighbouring_runs(self):
        made = bench()
        made.add("w", "peer", [({"per_second": a, "p50_us": 1.0, "p99_us": 2.0}, {"per_second": b}) for a, b in ((10, 5), (30, 10), (100, 10))], 3, 8)
        row = made.rows[0]
        self.assertEqual((row["ratio"], row["spread"]), (3.0, (2.0, 10.0)))
        self.assertEqual(report.verdict(row), "met")

    def test_of_times_the_ratio_says_how_many_times_sooner(self):
        made = bench()
        made.add("w", "peer", [({"ms": 2.0}, {"ms": 10.0})], 8, 10, "ms", "ms", invert=True)
        self.assertEqual(made.rows[0]["ratio"], 5.0)
        self.assertEqual(report.verdict(made.rows[0]), "short")

    def test_limits_turn_the_goal(self):
        made = bench()
        made.add("w", "peer", [({"mb": 1.0}, {"mb": 2.0})], 1.0, 0.33, "mb", "MB", lower_is_better=True)
        made.limit("alone", 0.2, 1.0, 0.3, "s")
        self.assertEqual([report.verdict(row) for row in made.rows], ["met", "reached"])

    def test_a_row_without_a_goal_is_only_measured(self):
        made = bench()
        made.add("w", "peer", [({"per_second": 1.0}, {"per_second": 2.0})])
        self.assertEqual(report.verdict(made.rows[0]), "measured")

    def test_a_workload_that_did_not_happen_fails(self):
        with self.assertRaisesRegex(RuntimeError, "7 where 1000 were to be"):
            run.expect("changes", 7, 1000)


class Turns(unittest.TestCase):
    def half(self, *taken):
        log = quiet.Log()
        return quiet.half(log, [(part, number) for number, part in enumerate(taken)]), log

    def test_the_half_is_kept_in_which_others_had_least(self):
        kept, log = self.half(0.3, 0.02, 0.5, 0.1, 0.4, 0.05)
        self.assertEqual(kept, [1, 3, 5])
        self.assertEqual((log.kept, log.left_out), ([0.02, 0.1, 0.05], [0.3, 0.5, 0.4]))
        self.assertEqual(self.half(0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)[0], [3, 4, 5, 6])

    def test_all_are_kept_where_nobody_takes_anything_and_where_there_are_few(self):
        self.assertEqual(self.half(0.0, 0.001, 0.0, 0.009, 0.0, 0.01)[0], [0, 1, 2, 3, 4, 5])
        self.assertEqual(self.half(0.9, 0.1, 0.8, 0.1, 0.9)[0], [0, 1, 2, 3, 4])

    def test_what_a_turn_gave_has_no_say(self):
        log = quiet.Log()
        self.assertEqual(quiet.half(log, [(0.2, 100), (0.1, 1), (0.2, 100), (0.1, 2), (0.2, 100), (0.1, 3)]), [1, 2, 3])

    def test_a_turn_knows_what_was_taken_meanwhile(self):
        with tempfile.TemporaryDirectory() as place:
            stat = os.path.join(place, "stat")
            with open(stat, "w") as out:
                out.write("cpu  100 1 20 700 5 0 4 170 50 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n")
            self.assertEqual(quiet.processors(stat), (1000, 170))
        taken, result = quiet.watched(lambda: "done")
        self.assertEqual(result, "done")
        self.assertTrue(0 <= taken <= 1)

    def test_rows_are_made_of_the_turns_that_were_kept(self):
        made = bench()
        runs, measured = iter(range(8)), quiet.watched
        quiet.watched = lambda one: (0.5 if next(runs) % 2 else 0.02, one())
        try:
            numbers = iter(range(8))
            pairs = made.interleave(lambda: next(numbers), lambda: "peer", 8)
        finally:
            quiet.watched = measured
        self.assertEqual(pairs, [(0, "peer"), (2, "peer"), (4, "peer"), (6, "peer")])
        self.assertEqual(made.taken.summary(), {"kept": 4, "kept_mean": 0.02, "left_out": 4, "left_out_mean": 0.5})
        self.assertIn("2% of the processors taken by others in 4 turns, 50% in 4 that were left out", report.taken(made.taken.summary()))
        self.assertEqual(report.taken(None), "")


class Tools(unittest.TestCase):
    def test_a_load_goes_on_until_the_work_beside_it_is_done(self):
        made = bench()
        with tempfile.TemporaryDirectory() as made.tools:
            load = os.path.join(made.tools, "load")
            with open(load, "w") as out:
                out.write(f'#!/bin/sh\ncat >/dev/null; echo "{{\\"worked\\": $(cat {made.tools}/worked)}}"\n')
            os.chmod(load, 0o755)

            def work():
                with open(os.path.join(made.tools, "worked"), "w") as out:
                    out.write("1")

            self.assertEqual(made.tool_beside(work, "load"), {"worked": 1})
            os.remove(os.path.join(made.tools, "worked"))
            with self.assertRaises(ValueError):
                made.tool("load")


class Pages(unittest.TestCase):
    def test_page_and_charts_hold_every_row(self):
        made = bench()
        made.add("apply <one>", "peer & co", [({"per_second": 4.0, "p50_us": 5.0, "p99_us": 9.0}, {"per_second": 2.0, "p50_us": 7.0, "p99_us": math.nan})], 1, 3)
        made.add("pure", "peer", [({"mb": 1.0}, {"mb": 2.0})], 1.0, 0.33, "mb", "MB", lower_is_better=True)
        machine = {"cpu": "c", "cores": 4, "memory": 8, "filesystem": "ext4", "append_us": 255.0, "overwrite_us": 137.0, "date": "2026-01-01", "mode": "full",
                   "commit": "abc", "load": 0.5}
        for row in made.rows:
            row.update(group="apply", machine=machine)
        page = report.markdown(made.rows, machine, ["how"])
        self.assertEqual(page.count("| apply <one> | peer & co |"), 1)
        self.assertIn("fdatasync 255 µs", page)
        for chart in (report.svg(made.rows), report.latency_svg(made.rows)):
            xml.dom.minidom.parseString(chart)
        self.assertEqual(report.svg(made.rows).count("<rect"), 3)          # The ground and two rows.
        self.assertEqual(report.latency_svg(made.rows).count("<rect"), 3)  # The ground, and two bars of the row with latencies.


class Inputs(unittest.TestCase):
    def test_configuration_changes_one_line_at_a_time_and_repeats(self):
        one, other = run.ConfigFiles(5), run.ConfigFiles(5)
        before = one.files
        name, text = one.change()
        self.assertEqual((name, text), other.change())
        self.assertEqual(sum(a != b for a, b in zip(before[name].splitlines(), text.splitlines())), 1)
        self.assertEqual(len(before[name].splitlines()), len(text.splitlines()))

    def test_changed_documents_differ_with_the_salt(self):
        self.assertNotEqual(run.kibibyte(1), run.kibibyte(2))
        self.assertAlmostEqual(len(run.kibibyte(1_700_000_000_000_000_000)), 1024, delta=100)


class Timing(unittest.TestCase):
    def test_a_timed_call_takes_the_whole_answer(self):
        body = b'{"changes": [' + b",".join([b"1"] * 50_000) + b"]}"
        listener = socket.create_server(("127.0.0.1", 0))

        def serve():
            with listener.accept()[0] as client:
                while b"\r\n\r\n" not in client.recv(65536):
                    pass
                client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
                for at in range(0, len(body), 7919):
                    client.sendall(body[at:at + 7919])

        thread = threading.Thread(target=serve)
        thread.start()
        wire = servers.Wire(types.SimpleNamespace(port=listener.getsockname()[1], token="t"))
        took, answer = wire.timed("GET", "/x")
        wire.close()
        thread.join()
        listener.close()
        self.assertEqual(len(answer["changes"]), 50_000)
        self.assertGreater(took, 0)


if __name__ == "__main__":
    unittest.main()
