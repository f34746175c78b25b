//! Files that are accepted, and the errors of others.

use super::*;
use crate::args::{interpret, parse};

const KEY: &str =
    "striper-public-key:0000000000000000000000000000000000000000000000000000000000000001";

fn file(text: &str, options: &str, env: &[(&str, &str)]) -> Result<File, Failure> {
    let env = |name: &str| {
        env.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
    };
    let interpret = |line: &Line<'_>, words| interpret(line, words, &env);
    let options: Vec<OsString> = options.split_whitespace().map(OsString::from).collect();
    let source = Source::new(Path::new("x.toml"), Path::new("/etc/striper"), text.to_owned());
    combine(&source, &options, &env, &interpret)
}

fn read_with(text: &str, options: &str, env: &[(&str, &str)]) -> Invocation {
    let mut invocation = file(text, options, env).unwrap_or_else(|why| panic!("{text}: {why}"));
    assert_eq!(invocation.invocation.options.file.take().as_deref(), Some(Path::new("x.toml")));
    invocation.invocation
}

fn fails(text: &str, options: &str) -> Failure {
    file(text, options, &[]).map(|file| file.invocation).expect_err(text)
}

/// A file with these lines in a section. `PEER` stands for the section of a peer.
fn text(role: &str, lines: &str) -> String {
    let peer = format!("[[peers]]\nkey = \"{KEY}\"\nname = \"a\"\n");
    let lines = lines.replace("PEER", &peer).replace("KEY", KEY);
    match role {
        "client" => client(&lines),
        "server" => server(&lines),
        _ => lines,
    }
}

/// A file with these lines in the section of a client.
fn client(lines: &str) -> String {
    format!("[client]\nserver = \"a:1\"\nlisten = 2222\n{lines}\n")
}

fn server(lines: &str) -> String {
    format!("[server]\nlisten = 7650\ntarget = \"a:1\"\n{lines}\n")
}

/// The command of the section, the lines in it or else the whole file, and the command line.
const MEANINGS: &[(&str, &str, &str)] = &[
    ("server", "", "server 7650 a:1"),
    (
        "",
        "[server]\n\
            listen = \"[::1]:1\"\n\
            allow = [\"*:80\", \"b:1\"]",
        "server [::1]:1 --allow *:80 --allow b:1",
    ),
    (
        "server",
        "key = \"own.key\"\n\
            allow-private = true\n\
            allow = \"*:*\"",
        "-s 7650 a:1 -k /etc/striper/own.key --allow-private --allow *:*",
    ),
    (
        "server",
        "key = [\"/a\", \"../b\"]\n\
            trace = \"./t\"",
        "-s 7650 a:1 -k /a -k /etc/striper/../b --trace /etc/striper/t",
    ),
    (
        "server",
        "[limits]\n\
            sessions = 5\n\
            memory = \"64MiB\"",
        "-s 7650 a:1 --limit sessions=5,memory=64MiB",
    ),
    (
        "server",
        "limit = [\"sessions=5,flows=99\"]",
        "-s 7650 a:1 --limit sessions=5 --limit flows=99",
    ),
    ("client", "", "client a:1 -L 2222"),
    (
        "client",
        "stripes = 8\n\
            scheduler = \"rr\"\n\
            plain = true\n\
            verbose = false",
        "client a:1 -L 2222 -n 8 --scheduler rr --plain",
    ),
    ("", "[client]\nserver = [\"a:1\", \"b:2\"]\nproxy = 1080", "client a:1,b:2 -D 1080"),
    (
        "client",
        "[[client.proxy]]\n\
            listen = 1\n\
            [[client.transparent]]\n\
            listen = 2\n\
            [[client.remote]]\n\
            listen = 3\n\
            target = \"c:4\"",
        "client a:1 -L 2222 -D 1 -T 2 -R 3:c:4",
    ),
    (
        "",
        "[client]\n\
            server = \"a:1\"\n\
            [[client.forward]]\n\
            listen = \"./x\"\n\
            target = \"unix:/y\"\n\
            [[client.forward]]\n\
            listen = \"[::1]:5\"\n\
            target = \"[::1]:6\"",
        "client a:1 -L /etc/striper/x:unix:/y -L [::1]:5:[::1]:6",
    ),
    (
        "client",
        "[log]\n\
            level = \"verbose\"\n\
            format = \"json\"",
        "client a:1 -L 2222 -v --log json",
    ),
    ("client", "[log]\nlevel = \"normal\"", "client a:1 -L 2222"),
    ("client", "[control]\nsocket = \"x/s\"", "client a:1 -L 2222 --control /etc/striper/x/s"),
    ("client", "[control]\nsocket = \"off\"", "client a:1 -L 2222 --control off"),
    (
        "",
        "[relay]\n\
            listen = 1\n\
            connect = \"a:2\"\n\
            drain-timeout = \"1m\"\n\
            [log]\n\
            level = \"quiet\"",
        "relay 1 a:2 --drain-timeout 1m -q",
    ),
    (
        "",
        "[relay]\r\n\
            listen = 1\r\n\
            connect = \"a:2\"\r\n",
        "relay 1 a:2",
    ),
];

#[test]
fn a_file_means_what_a_command_line_means() {
    for (role, lines, line) in MEANINGS {
        let text = text(role, lines);
        let words = line.split_whitespace().map(OsString::from);
        let expected = parse(words, |_| None).unwrap_or_else(|why| panic!("{line}: {why}"));
        assert_eq!(read_with(&text, "", &[]), expected, "{text}");
    }
}

#[test]
fn an_option_beats_a_variable_which_beats_the_file() {
    let text = client("stripes = 8\nkey = \"f\"\n[log]\nlevel = \"verbose\"\nformat = \"json\"");
    let env = [
        ("STRIPER_STRIPES", "7"),
        ("STRIPER_KEY_FILE", "e"),
        ("STRIPER_QUIET", "1"),
        ("STRIPER_LOG", ""),
    ];
    for (options, env, line) in [
        ("", &[][..], "-n 8 -k /etc/striper/f -v --log json"),
        ("", &env, "-n 7 -k e -q --log json"),
        ("--stripes=6 --key=o --log=human", &env, "-n 6 -k o -q --log human"),
        ("--quiet", &[], "-n 8 -k /etc/striper/f -q --log json"),
        ("--plain", &[], "-n 8 --plain -v --log json"),
        ("--plain", &env, "-n 7 --plain -q --log json"),
        ("--listen=1", &[], "-n 8 -k /etc/striper/f -v --log json -L 1"),
    ] {
        let way = if line.contains("-L") { "" } else { "-L 2222" };
        let line = format!("client a:1 {way} {line}");
        let words = line.split_whitespace().map(OsString::from);
        let expected = parse(words, |_| None).expect("a right line");
        assert_eq!(read_with(&text, options, env), expected, "{options} {env:?}");
    }
    let text = server("[limits]\nsessions = 5\nflows = 99\nstripes = 3");
    let env = [("STRIPER_LIMITS", "flows=98,stripes=2")];
    let limits = read_with(&text, "--limit=stripes=1", &env).options.limits;
    let server = &limits.server;
    assert_eq!((server.sessions, limits.engine.max_flows, server.stripes), (5, 98, 1));
    let empty = [("STRIPER_KEY_FILE", "")];
    let failure = file(&client("key = \"f\""), "", &empty).map(|file| file.invocation).unwrap_err();
    assert!(failure.cause.contains("STRIPER_KEY_FILE is empty"), "{failure}");
}

#[test]
fn peers_in_the_file_have_their_names_and_rules() {
    let peer = format!(
        "[[peers]]\nkey = \"{KEY}\"\nname = \"laptop\"\nallow = [\"*:80\"]\nallow-private = true"
    );
    let text = server(&format!("key = \"own\"\n{peer}"));
    let listed = read_with(&text, "", &[]).options.keys.listed;
    assert_eq!(
        (listed.len(), &*listed[0].name, listed[0].key.to_string()),
        (1, "laptop", KEY.into())
    );
    assert!(listed[0].rules.allows_private() && listed[0].rules.allow_any());
    let shown = |value: Value| match value {
        Value { key, value: Some(value), from: From::File(place) } if key.starts_with("peers") => {
            Some(format!("{key} {value} {place}"))
        }
        _ => None,
    };
    let values = file(&text, "", &[]).unwrap().values;
    let shown: Vec<String> = values.into_iter().filter_map(shown).collect();
    let itself = format!("peers {KEY} laptop x.toml:5");
    let rules = ["peers.laptop.allow *:80 x.toml:8", "peers.laptop.allow-private true x.toml:9"];
    assert_eq!(shown, [&itself[..], rules[0], rules[1]]);
    for (options, env) in
        [("--peers=x", &[][..]), ("--plain", &[]), ("", &[("STRIPER_PEERS_FILE", "x")])]
    {
        let keys = read_with(&text, options, env).options.keys;
        assert!(keys.listed.is_empty(), "{options}");
        assert_eq!(keys.peers.is_some(), options != "--plain");
    }
}

/// The command of the section, and the lines in it or else the whole file. Then the number of the
/// line with the mistake, how the marked part begins, and parts of the cause and of the cure.
const MISTAKES: &[(&str, &str, usize, &str, &str, &str)] = &[
    ("", "stripes = 4\n[client]", 1, "stripes", "stripes is in no section", "below [client]"),
    ("", "server = 1", 1, "server", "server is a section", "begin the section with [server]"),
    ("", "[client]\nserver = \"a:1\"\n[server]", 3, "server", "can't be in one file", "run both"),
    ("", "[Server]\nlisten = 1", 1, "Server", "no section [server], [client]", "mean [server]?"),
    ("server", "[clent]", 4, "clent", "no section clent for a server", "the sections with"),
    ("server", "[limit]", 4, "limit", "no section limit", "did you mean limits?"),
    ("client", "stripez = 4", 4, "stripez", "[client] has no key stripez", "did you mean stripes?"),
    (
        "client",
        "connect_timeout = 4",
        4,
        "connect_timeout",
        "no key",
        "did you mean connect-timeout?",
    ),
    ("client", "allow = 4", 4, "allow", "no key allow", "it is for [server]"),
    ("client", "help = true", 4, "help", "no key help", "config example client has all keys"),
    ("client", "c = true", 4, "c", "no key c", "config example client"),
    (
        "client",
        "stripes = \"many\"",
        4,
        "\"many\"",
        "stripes: \"many\" is not a number",
        "config example",
    ),
    ("client", "stripes = 65", 4, "65", "from 1 to 64", "config example client"),
    ("client", "stripes = [4]", 4, "[4]", "takes one value", "leave out the brackets"),
    ("client", "stripes = true", 4, "true", "takes a text or a whole number", "in quotes"),
    ("client", "plain = \"yes\"", 4, "\"yes\"", "takes true or false", "without quotes"),
    ("client", "connect-timeout = 10", 4, "10", "\"10\" has no unit; write 10s", "config example"),
    (
        "client",
        "scheduler = \"earlist\"",
        4,
        "\"earlist\"",
        "did you mean earliest?",
        "config example",
    ),
    ("client", "key = [\"a\", \"\"]", 4, "\"\"", "the name of the file is empty", ""),
    (
        "client",
        "key = [\"a\", \"b\", \"a\"]",
        4,
        "\"a\"]",
        "/etc/striper/a is given twice",
        "leave one",
    ),
    ("client", "key = \"a\"\nplain = true", 5, "true", "can't be used together", "choose one"),
    (
        "client",
        "proxy-users = \"a\"",
        4,
        "\"a\"",
        "proxy-users is for programs that use proxy",
        "add proxy",
    ),
    (
        "client",
        "log = \"json\"\n[log]\nformat = \"human\"",
        6,
        "\"human\"",
        "log.format is given twice",
        "leave one",
    ),
    ("client", "[log]\nformat = \"xml\"", 5, "\"xml\"", "log.format: \"xml\" is not one of", ""),
    (
        "client",
        "[log]\nlevel = \"debug\"",
        5,
        "\"debug\"",
        "is not one of quiet, normal, verbose",
        "",
    ),
    ("client", "[log]\nlevle = 1", 5, "levle", "[log] has no key levle", "did you mean level?"),
    ("client", "[limits]\nsessions = 1", 4, "limits", "no section limits for a client", ""),
    ("client", "[[client.forwards]]", 4, "forwards", "no key forwards", "did you mean forward?"),
    (
        "client",
        "[[client.proxy]]\nport = 1",
        5,
        "port",
        "proxy has no key port",
        "the keys are listen",
    ),
    (
        "client",
        "[[client.proxy]]\ntarget = \"a:1\"",
        4,
        "[[client.proxy]]",
        "proxy has no listen",
        "add where",
    ),
    (
        "client",
        "[[client.proxy]]\nlisten = 2222",
        4,
        "[[client.proxy]]",
        "127.0.0.1:2222 is given twice",
        "",
    ),
    (
        "client",
        "[[client.proxy]]\nlisten = \"x\"",
        4,
        "[[client.proxy]]",
        "not an address",
        "write PORT",
    ),
    (
        "client",
        "[[client.remote]]\nlisten = 1\ntarget = 22",
        6,
        "22",
        "target: \"22\" is a port",
        "HOST:22",
    ),
    (
        "client",
        "[[client.remote]]\nlisten = \"x\"\ntarget = \"a:1\"",
        5,
        "\"x\"",
        "listen: \"x\"",
        "",
    ),
    (
        "client",
        "[[client.remote]]\nlisten = \"1:b:1\"\ntarget = \"a:1\"",
        5,
        "\"1:b:1\"",
        "and target is another",
        "",
    ),
    ("", "[client]\nserver = \"a:1\"", 1, "client", "at least one way in", "config example client"),
    ("", "[client]\nlisten = 1", 1, "client", "client needs server", "config example client"),
    ("", "[client]\nserver = \"a\"\nlisten = 1", 2, "\"a\"", "server: \"a\" has no port", ""),
    ("", "[server]\ntarget = \"a:1\"", 1, "server", "server needs listen", "config example server"),
    ("", "[server]\nlisten = \"a:1\"", 2, "\"a:1\"", "listen: \"a\" is not an IP address", ""),
    (
        "",
        "[server]\nlisten = 1\ntarget = \"localhost:1\"",
        3,
        "\"localhost:1\"",
        "round in circles",
        "",
    ),
    ("server", "allow = [\"b:1\", \"b\"]", 4, "\"b\"", "allow: the rule has no ports", ""),
    ("server", "[limits]\nsesions = 1", 5, "sesions", "did you mean sessions?", ""),
    ("server", "[limits]\nmemory = 64", 5, "64", "write 64MiB", ""),
    ("server", "peers = \"x\"\n[[peers]]", 5, "[[peers]]", "this peer has no key", ""),
    ("server", "peers = \"x\"\nPEER", 5, "[[peers]]", "peers and [[peers]] can't", "choose one"),
    ("server", "plain = true\nPEER", 5, "[[peers]]", "plain and [[peers]] can't", "choose one"),
    ("server", "PEERalow = 1", 7, "alow", "a peer has no key alow", "did you mean allow?"),
    ("server", "PEERallow = [\"b\"]", 7, "\"b\"", "allow: the rule has no ports", "b:443"),
    ("server", "PEERPEER", 8, "\"striper", "listed twice", "remove one"),
    ("server", "[[peers]]\nkey = \"KEY\"\nname = \"a b\"", 6, "\"a b\"", "", "letters, digits"),
    ("server", "a = \"b", 4, "", "line 4", "a text stands in quotes"),
    ("server", "listen = 1", 4, "listen", "duplicate key", "write it once"),
];

#[test]
fn each_mistake_has_its_line_its_carets_and_a_cure() {
    for (role, lines, line, marked, cause, cure) in MISTAKES {
        let text = text(role, lines);
        let failure = fails(&text, "");
        let Failure { code, cause: told, cure: mended, excerpt } = &failure;
        assert_eq!(*code, code::CONFIG, "{text}");
        assert!(told.starts_with(&format!("x.toml: line {line}: ")), "{text}: {told}");
        assert!(told.contains(cause), "{text}: {told}");
        assert!(
            mended.as_deref().is_some_and(|mended| mended.contains(cure)),
            "{text}: {mended:?}"
        );
        let excerpt = excerpt.as_deref().expect("a shown line");
        let (shown, carets) = excerpt.split_once('\n').expect("two lines");
        let at = carets.find('^').expect("carets");
        assert!(shown[at..].starts_with(marked), "{text}:\n{excerpt}");
    }
}

#[test]
fn secrets_are_not_shown() {
    let server = |lines: &str| format!("[server]\nlisten = 1\n{lines}");
    for text in [
        client("key = \"striper-shared-key:5ec2e7\""),
        client("key = striper-private-key:5ec2e7"),
        client("proxy = \"ann:5ec2e7@127.0.0.1:1080\""),
        client("scheduler = \"striper-shared-key:5ec2e7\""),
        client("[metrics]\nlisten = \"striper-shared-key:5ec2e7\""),
        client("[log]\nlevel = \"striper-shared-key:5ec2e7\""),
        client("[log]\nstriper-shared-key_5ec2e7 = 1"),
        server("target = \"striper-shared-key:5ec2e7\""),
        server("target = \"bob:5ec2e7@a:1\""),
        server("target = \"a:1\"\nallow = [\n\"b:1\",\n\"striper-shared-key:5ec2e7\"]"),
        server("[limits]\nmemory = \"striper-private-key:5ec2e7\""),
        "[server]\nlisten = \"striper-shared-key:5ec2e7\"".into(),
        "[client]\nlisten = 1\nserver = [\n\"a:1\",\n\"striper-shared-key:5ec2e7\"]".into(),
    ] {
        let failure = fails(&text, "");
        let shown = format!("{failure:?}");
        assert!(shown.contains("line ") && !shown.contains("5ec2e7"), "{text}: {shown}");
        assert!(failure.cause.ends_with("looks like a key or a password, so it is not shown"));
        assert!(failure.cure.is_some_and(|cure| cure.contains("name that file")));
    }
    let peer = "[[peers]]\nname = \"a\"\nkey = \"striper-private-key:5ec2e7\"";
    let failure = fails(&server(&format!("target = \"a:1\"\n{peer}")), "");
    let shown = format!("{failure:?}");
    assert!(
        shown.contains("line 6: this is a private key") && !shown.contains("5ec2e7"),
        "{shown}"
    );
}

#[test]
fn a_wrong_option_is_told_as_on_a_command_line() {
    for (options, part) in [
        ("--allow=b:1", "client does not take --allow; leave it out; it is for striper-cli -s"),
        ("--plain --key=x", "--plain and --key can't be used together"),
        ("--listen=1 --listen=1", "127.0.0.1:1 is given twice"),
    ] {
        let failure = fails(&client(""), options);
        assert_eq!(failure.code, code::USAGE, "{options}");
        assert!(failure.to_string().contains(part), "{options}: {failure}");
    }
    let failure = fails(&server(""), "--listen=1");
    assert!(failure.cause.contains("server does not take --listen"), "{failure}");
}

#[test]
fn each_value_has_its_source() {
    let text =
        server("key = \"k\"\nallow = [\n\"b:1\",\n\"b:2\"]\n[limits]\nsessions = 5\nflows = 99");
    let env = [
        ("STRIPER_LIMITS", "stripes=2,flows=98"),
        ("STRIPER_LOG", "json"),
        ("STRIPER_STRIPES", "2"),
    ];
    let values = file(&text, "--drain-timeout=1s --quiet", &env).map(|file| file.values);
    let values = values.unwrap_or_else(|why| panic!("{why}"));
    let of = |key: &str| -> Vec<(Option<&str>, From)> {
        let found = values.iter().filter(|value| value.key == key);
        found.map(|value| (value.value.as_deref(), value.from.clone())).collect()
    };
    let at = |line: usize| From::File(format!("x.toml:{line}"));
    let variable = |name: &str| From::Environment(name.into());
    for (key, expected) in [
        ("server.listen", vec![(Some("7650"), at(2))]),
        ("server.key", vec![(Some("/etc/striper/k"), at(4))]),
        ("server.allow", vec![(Some("b:1"), at(6)), (Some("b:2"), at(7))]),
        ("server.deny", vec![(None, From::Default)]),
        ("server.drain-timeout", vec![(Some("1s"), From::Option)]),
        ("server.connect-timeout", vec![(Some("10s"), From::Default)]),
        ("server.quiet", vec![(Some("true"), From::Option)]),
        ("server.plain", vec![(Some("false"), From::Default)]),
        ("log.format", vec![(Some("json"), variable("STRIPER_LOG"))]),
        ("limits.sessions", vec![(Some("5"), at(9))]),
        ("limits.flows", vec![(Some("98"), variable("STRIPER_LIMITS"))]),
        ("limits.memory", vec![(Some("128MiB"), From::Default)]),
        ("server.stripes", vec![]),
    ] {
        assert_eq!(of(key), expected, "{key}");
    }
}
