"""What a call costs: at least, with the mesh on either side, and over each hop of a real stack.

Usage: python -m benchmarks.calls [--calls N] [--rounds N] [--only floor|hops] [--json FILE]. Linux only (it reads
/proc); loopback only; ends by itself in about three minutes. The ways take turns. `python -m benchmarks.calls.channel`
looks closer at the caller's side.
"""

import uvloop

from benchmarks.calls import floor, hops
from benchmarks.results import Results, machine, options


def main() -> None:
    """Measures and prints."""
    parser = options(__doc__ or "", rounds=7)
    parser.add_argument("--calls", type=int, default=512, help="of each way in a round")
    parser.add_argument("--only", choices=("floor", "hops"), help="one of the two parts")
    arguments = parser.parse_args()
    calls, rounds = (128, 1) if arguments.quick else (arguments.calls, arguments.rounds)
    results = Results("calls", machine("redis", "hiredis"))
    if arguments.only != "hops":
        uvloop.run(floor.measure(results, calls, rounds))
    if arguments.only != "floor":
        uvloop.run(hops.measure(results, calls // 2, rounds))
    results.finish(arguments.json)


if __name__ == "__main__":
    main()
