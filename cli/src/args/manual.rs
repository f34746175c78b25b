//! The text of the manual around its list of options.

/// The beginning, above the list of commands.
pub(super) const BEFORE: &str = "\
Where a route limits each connection, several are faster than one. Two commands
make a pair, a server and a client:

  on the target's side:        striper-cli -s 0.0.0.0:7650 localhost:22 -k FILE
  on the local programs' side: striper-cli -c 2222 there.example:7650 -k FILE

FILE is a key that both have: striper-cli keygen FILE makes it once. A program
that connects to port 2222 here now reaches port 22 there, over 4 stripes:

  ssh -p 2222 localhost

To see what striper does, without a network:  striper-cli demo";

/// The parts below the list of options.
pub(super) const AFTER: &str = "\
WORDS
  LISTEN   PORT, ADDR:PORT or [V6ADDR]:PORT. A bare port is open to this
           machine only (127.0.0.1; for IPv6 write [::1]:PORT); 0.0.0.0:PORT or
           [::]:PORT is open to all. With port 0 the system chooses a port; the
           log line \"ready\" has it.
  CONNECT  HOST:PORT, [V6ADDR]:PORT or two words HOST PORT; SERVER has the same
           forms. For -c and client, A:PORT,B:PORT names several
           addresses of one server, and the stripes use all of them.
  TARGET   HOST:PORT, [V6ADDR]:PORT, or unix:/PATH with -L and -W. A client may
           name targets if the server allows them (--allow). The server looks a
           name up and decides on the address. * and names but localhost do not
           mean this machine, and * does not mean private networks, unless
           --allow-private says so.
  peer     the proxy at the other end of the stripes
  TIME     a number with its unit: 500ms, 10s, 2m

ENVIRONMENT (an option beats its variable, which beats a file of run -f; all
             commands read the variables)
  STRIPER_STRIPES, STRIPER_SCHEDULER, STRIPER_CONNECT_TIMEOUT,
  STRIPER_DRAIN_TIMEOUT, STRIPER_CONGESTION, STRIPER_LOG   as the options
  STRIPER_LIMITS=NAME=VALUE,...        as --limit, which beats each NAME
  STRIPER_VERBOSE=1, STRIPER_QUIET=1   as -v and -q
  STRIPER_KEY_FILE, STRIPER_PEERS_FILE   as --key and --peers
  NO_COLOR=1                           no colours
  The log warns of other names that begin with STRIPER_. An empty variable is
  ignored. But -s and -c do not start with an empty STRIPER_KEY_FILE or
  STRIPER_PEERS_FILE, unless an option replaces it.

SECURITY
  With a key, only a program that has it gets in, and an attacker on the route
  learns only sizes and times (TLS 1.3; see SECURITY.md). Without a key, any
  program that can reach the port of -s can reach its target, and stripes can be
  read: keep them on a trusted network, or in a VPN or an ssh tunnel.
  One key for all:        keygen FILE, the same FILE to both sides
  A key for each client:  keygen --pair on each side, pubkey FILE >> PEERS of
                          the peer, --peers PEERS
  To replace a key, restart the server with -k OLD -k NEW, the clients with
  -k NEW -k OLD, the server with NEW alone, and at last the clients with that.
  Rules for one client:   indented lines below its key in PEERS. With an allow
                          or allow-listen of its own it does not follow those
                          of the command line. All --deny and its own deny hold.
  SIGHUP makes -s and -c read all these files again, and --proxy-users. A peer
  whose key is no longer listed is cut off. New rules are for new connections. A
  file with a mistake changes nothing, and the log says so.

LIMITS (of -s, set with --limit NAME=VALUE; with their defaults)
  handshakes              256     callers whose handshake is not finished
  handshakes-per-address  128     of these, from one address (IPv6: one /64)
  handshake-time          5s      time for a handshake
  sessions                256     clients at once
  sessions-per-key        128     of these, with one key
  stripes                 64      of one session, 1-64
  flows                   16384   open connections of one session
  unanswered              1024    connections whose target has not answered
  memory                  128MiB  data in transit in all: KiB, MiB, GiB
  memory-per-session      half    of that, for one session
  opens-per-second        10000   new connections of a client in the long run;
                                  more connections wait
  control-burst           16MiB   control (not payload) from a peer at once
  control-per-second      1MiB    and each second; more ends its session
  payload-per-control     64      payload bytes that allow one more of control
  spare-files             32      file descriptors that callers must leave free
                                  (at most a quarter of ulimit -n)
  log-lines               20      for one cause within 10 s (50 times that for
                                  lines of each connection or stripe); the next
                                  line says how many were left out
  If several keys are accepted, the peers of one key may use as much of memory
  and unanswered as they leave free: half, or a third beside another such key.

STATUS LINE (when stderr is a terminal)
  2 connections  ↑19.3M ↓90k bit/s  #1 ↑9.65M ↓50k c12 w  #2 ↑9.65M ↓40k c7 r?
  The connections, their rates together, then each stripe with its rates, the
  number of times it was congested, a letter for the limit of its rate to the
  peer, and ? if it is in doubt: its peer does not answer. The limits:
  a  application: the local programs give no more data
  p  peer: its programs, or the receive buffer of its system, take no more
  w  window: striper itself sends no more, as a queue on the route would delay
  r  route: TCP sends no more, or the stripe is in doubt, or others are faster
  A wide terminal also shows the share of packets that TCP sent again (r1.2%)
  and the congestion control (Linux). A narrow one shows the larger rate of each
  stripe (#1 9.65M c12 w, #1 9.65M w or #1 9.65M), or the sums for all stripes
  (64 stripes, 768 congestions), or only the connections. Without a stripe, the
  line has the reason, or \"no peer\".
  (kept until 12:03:10Z): these connections have no stripe. They are reset at
  that time (UTC) unless a stripe is back. (2 kept until 12:03:10Z): this
  applies to two of the connections.
  (may finish until 12:03:10Z): the program is stopping. It resets the rest of
  the connections at that time.

  relay and datagram show each leg: near to the local program, far to CONNECT.
  1 connection  near wr ↓1.2 MB ↑3.4 GB c12  far wr ↓3.4 GB ↑1.2 MB c0
  The bytes from it and to it and the congestions, since the start. The first
  letter: w it takes data, - it is congested, x its direction has ended. The
  second: r it may send, x it has ended its direction. With several connections:
  how many are congested there, or half-closed. A narrow terminal shows the
  bytes to CONNECT and from it, and all congestions (↑1.2 MB ↓3.4 GB c12), with
  or without the states.

STOPPING
  SIGTERM or SIGINT (Ctrl-C), the end of the terminal of stderr, or the command
  drain: there are no new connections, and open ones may finish within
  --drain-timeout. A second signal stops at once.
  SIGUSR2 starts a new process of the program, with the same command line. It
  takes over all listening sockets. The old process stays until its connections
  have ended. So a new version of the program takes over without a cut.

CONTROL SOCKET
  status, drain, reload, close and trace ask a running proxy by a Unix socket,
  ROLE-PID.sock in $RUNTIME_DIRECTORY, /run/striper (root),
  $XDG_RUNTIME_DIR/striper or /tmp/striper-UID; --control names another one.
  Only the user of the proxy and root can connect. See docs/OPERATING.md.

EXIT CODES
  0  done, or stopped after every connection had finished
  1  unexpected error, or the demo's data arrived damaged
  2  the command line is wrong, or the file of --trace or --tls-key-log or the
     name of --congestion can't be used
  3  cannot listen on LISTEN, or on the socket of --control
  4  client -W: the server can't be reached, or its session ended (other
     commands keep trying)
  5  client -W: the target was refused, can't be reached, or broke the
     connection
  6  an environment variable or a file of run -f is wrong, or the limit of open
     files, threads or file sizes is too low
  7  stopped, but connections outlasted --drain-timeout and were reset
  8  a key, a list of peers, or its file can't be used
  9  status, drain, reload, close, trace: no running proxy could be asked
  130, 143  stopped at once by a second signal (SIGINT, SIGTERM)";
