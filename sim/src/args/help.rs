//! What `sim --help` prints.

/// What `sim --help` says.
pub const HELP: &str = "\
striper's simulator: two real sessions, joined by modelled TCP connections, in virtual time

Usage: cargo run -p sim -- --caps RATES [options]     measure one transfer over several stripe counts
       cargo run -p sim -- swarm [--seeds A..B]       random small worlds with trouble, everything checked
       cargo run -p sim -- run FILE [--trace OUT]     a scenario from a file, as a failing swarm writes it
       cargo run -p sim -- replay [--follow] FILE...  play traces, of the proxies or of this
       cargo run -p sim -- replay --explain FILE...   what the connections of a trace waited for
       cargo run -p sim -- bless FOLDER               make the traces in it anew that are from this
       cargo run --release -p sim -- exhaust [--quick]  small worlds, enumerated completely; see exhaust --help
       cargo run --release -p sim --features planted -- selftest
                                                      planted bugs, each must be found; see selftest --help
       cargo run --release -p sim -- drive [--seeds A..B] [--threads N]
                                                      random worlds with the production driver, server and bridge
       cargo run --release -p sim -- bench-schedulers [--quick]
                                                      schedulers compared on many mixes of stripes

Measuring
  --caps RATES      How much each stripe carries, such as 1mbps, 10Mbit, 2.5mbps, 500kbit or 1gbit. These are bits:
                    1mbps is 10^6 bit/s of TCP payload. A list such as 20mbps,10mbps,5mbps,1mbps is dealt to the
                    stripes in turn, from the start again when it runs out.
  --stripes LIST    Stripe counts to measure, 1-64 each [1,2,4,8; for a list of n caps 1,2,4 and so on up to n]
  --rtt TIME        Round-trip time of every stripe without queueing, such as 40ms [40ms]
  --loss PERCENT    Packets lost at random on every stripe, such as 0.5% [0%]
  --idle TIME       How long the stripes are up and idle before the transfer begins, such as 30s [0s]
  --size SIZE       How much is transferred, such as 8MiB or 1GB [8MiB]
  --scheduler NAME  How stripes are chosen [earliest]
                      earliest  the one on which the next piece should arrive soonest
                      uc        until congested: the same one until it takes no more, then the next
                      rr        round robin: each piece to the next one that takes it
                      all       one after the other, to compare
  --seed N          Where every random choice comes from [1]. The same seed gives the same output, to the byte.
  --fault F         What goes wrong, as TIME:STRIPE:WHAT, such as 500ms:0:silence; TIME counts from the transfer's
                    beginning, and --fault may be given several times. WHAT is reset, half-reset (only the server is
                    told), close, forget (its present connection carries nothing more), silence, silence-up,
                    silence-down (one way only), or heal, which ends silence. A row has only the
                    faults of its own stripes.
  --trace FILE      Record the transfer to FILE.client and FILE.server; needs one stripe count and one scheduler
  --check           Check the sessions' invariants after every step (slower)
  --json            Print JSON
  --html FILE       Also write a page with charts of one run, that of the most stripes and the first scheduler: goodput
                    against the oracle, each stripe, head-of-line blocking, reorder depth, RTT (see docs/pictures.md)

Swarming
  --seeds A..B      The seeds of the worlds, B not included [0..1000]. Each seed draws a random subset of the kinds of
                    trouble, routes, settings and flows; one in ten has a peer that says valid frames with bad intent. First
                    only safety is demanded; then all trouble ends and everything must complete by a computed deadline.
                    All invariants and oracles are checked after every event. From 10,000 seeds on, every pair of kinds of
                    trouble must have met in one world. A failure prints the command that repeats it, and the first is made
                    smaller and written to a new folder swarm-SEED: failure.scenario for run, and a trace of each session
                    up to the failure. The result, digest included, does not depend on the number of threads.
                    A flow that is not complete was broken off or refused by a program, was lost
                    with a session that ended (a crash, a restart, no stripe for too long), or had
                    a hostile peer. Any other flow that is not complete is a failure.
  --threads N       How many seeds at a time, 1-256 [as many as there are cores]
  --large           Large worlds: up to 1,000 flows, 16 stripes and 1 GiB; invariants are checked at every event at first and
                    then more rarely
  --no-shrink       Neither make the first failure smaller nor write it
  --out FOLDER      Where the folder of a failure is made [the current folder]. If there is a swarm-SEED already, the new
                    one is swarm-SEED.2 and so on.
  --json            Print JSON

Running one scenario
  run FILE          Prints how it went; exit code 1 if it fails, 2 if it can't be read
  --script TEXT     Instead of FILE: the scenario itself, with semicolons for line ends
  --trace OUT       Record every session, also of a scenario that fails: OUT.client, OUT.server, and OUT.client.2,
                    OUT.server.2 and so on for those that come after a restart. A hostile peer has no session.
  --session NAME    Print the trace of this one, such as server.2, instead
  --bug NAME        For swarm, run and replay, in a build with --features planted: the engine has this bug

Traces
  replay            Gives a trace's inputs to a session again and names the first line that it does differently; exit
                    code 1 then. --follow takes the choices of stripes from the trace instead of choosing.
                    docs/traces.md explains traces. --html FILE draws one (docs/pictures.md).
  replay --explain  Says of each pause of a flow which chunk on which stripe it waited for, since when, and what was done
                    about it, from the trace of one side or those of both; nothing is played. --pauses N tells of
                    the N longest [10], --at-least TIME of none that is shorter [50ms].
  bless             Runs the scenario of each trace that has one, and replaces the trace if it has changed.

Files
  A file that --html or --trace names is created anew. A page replaces only a page of this
  program, a trace only a trace as it was recorded. Any other file stays; the exit code is 2 then.

Driving
  --seeds A..B      The seeds of the worlds, B not included [0..100]. Here the program's own driver runs, on simulated sockets:
                    partial writes, wake-ups in any order, dials, restarts, pauses, shutdown and lack of file
                    descriptors, with programs at both ends. What is counted is in how many worlds each fault took effect.
  --threads N       How many worlds at a time [1]; the result does not depend on it

Comparing schedulers
  --mix LIST        Which mixes of stripes, such as A,C,E3; E, F and objects name all of theirs [all]
  --scheduler LIST  Which schedulers, of earliest, uc and rr [all]
  --credit LIST     The largest receive windows of a flow, 16KiB-64MiB each [256KiB,1MiB,4MiB]
  --seeds N         How many seeds, or a range of them such as 7..8 [20]
  --quick           3 seeds and a credit of 1MiB, where nothing else is said
  --threads N       How many runs at a time [as many as there are cores]; the result does not depend on it
  --json            Print JSON
  --topologies N    Instead of the table: N random sets of steady stripes (or a range of seeds such as 7..8), each
                    with one more stripe, without it, and with the best one alone. Exit code 1 if one more ever leaves less
                    than 0.98 of the speed. Takes --scheduler NAME [earliest] and --threads.

What is measured
  One flow from client to server, opened on stripes that are up already, from its opening until its end has come out on
  the other side. The share is that of the fluid oracle: the least time in which any scheduler could do it if each
  stripe were a fluid that enters at its cap and comes out half an RTT later. Slow start, packet losses, frame headers
  and whatever the scheduler does wrong are what is missing from 1.000. The speed-up is that against the first stripe alone.

What is modelled
  Each direction of each stripe: the system's send buffer with a low-water mark, a congestion window (10 packets at first,
  slow start with HyStart, Reno's growth and halving, selective acknowledgement, probes and timeouts), a bottleneck
  with a drop-tail queue of 100 ms (8 packets at least), delay, random loss, delivery in order. A swarm also has jitter,
  short writes, reads cut at every byte or merged, routes that stall, fall silent in one or both directions, break,
  break for one side only, close in mid-frame, refuse or slam dials and change; processes that crash and lose all memory, stop,
  and whose clock jumps; programs that never read, or by bytes or bursts.

What is not modelled
  Packet headers (a result here is 0.965 of the same cap counted on the wire), the room that acknowledgements take,
  CUBIC's or BBR's faster growth on long fat routes, a bottleneck that stripes share, jitter, the time that programs and
  kernels need to run, the sockets between the proxies and the programs, which here take everything at once, a system's
  receive buffer that fills, corrupted bytes (TCP's and TLS's business), a clock that goes back, memory that runs out, and
  the real driver: its turns, wake-ups and dialing are played by the world, but in drive, which runs it as it is.

  -h, --help        Print this
";
