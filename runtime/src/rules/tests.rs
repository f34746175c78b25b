//! Decisions of whole sets of rules.

use super::*;
use quickcheck::quickcheck;
use std::net::{Ipv4Addr, Ipv6Addr};

fn rules(allow: &[&str], deny: &[&str]) -> Rules {
    let mut rules = Rules::default();
    allow.iter().for_each(|rule| rules.allow(rule.parse().unwrap()));
    deny.iter().for_each(|rule| rules.deny(rule.parse().unwrap()));
    rules
}

fn private(allow: &[&str]) -> Rules {
    let mut rules = rules(allow, &[]);
    rules.allow_private();
    rules
}

/// The addresses of the machine: one public, one private.
const OWN: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(8, 8, 4, 4)), IpAddr::V4(Ipv4Addr::new(10, 9, 9, 9))];

fn is_own(address: IpAddr) -> bool {
    OWN.contains(&address)
}

/// The decision on a host whose only address is this, at port 80.
fn ask(rules: &Rules, host: &str, address: &str) -> Result<String, Denied> {
    let address = SocketAddr::new(address.parse().unwrap(), 80);
    rules.check(&HostPort::new(host, 80), address, is_own).map(Rule::to_string)
}

fn allowed(rule: &str) -> Result<String, Denied> {
    Ok(rule.into())
}

fn by(rule: &str) -> Denied {
    Denied::By(rule.into())
}

#[test]
fn nothing_is_allowed_without_a_rule() {
    let mut none = Rules::default();
    assert!(none.is_empty());
    none.allow_private();
    none.deny("a:1".parse().unwrap());
    assert!(none.is_empty() && !rules(&["a:1"], &[]).is_empty());
    assert_eq!(ask(&none, "a.org", "1.2.3.4"), Err(Denied::NoRule));
    assert_eq!(none.may_resolve(&HostPort::new("a.org", 80)), Err(Denied::NoRule));
    assert_eq!(none.check_unix(Path::new("/a")), Err(Denied::NoRule));
}

#[test]
fn the_rule_that_allows_is_told() {
    let rules = rules(&["*.a.org:80", "B.org:80", "9.0.0.0/8:80", "[2606::]/16:80"], &[]);
    for (host, address, rule) in [
        ("x.a.org", "1.2.3.4", Some("*.a.org:80")),
        ("X.A.Org.", "1.2.3.4", Some("*.a.org:80")),
        ("b.org", "1.2.3.4", Some("B.org:80")),
        ("a.org", "1.2.3.4", None),
        ("c.org", "9.1.1.1", Some("9.0.0.0/8:80")),
        ("9.1.1.1", "9.1.1.1", Some("9.0.0.0/8:80")),
        ("c.org", "2606::1", Some("[2606::]/16:80")),
        ("c.org", "2607::1", None),
    ] {
        let expected = rule.map(str::to_owned).ok_or(Denied::NoRule);
        assert_eq!(ask(&rules, host, address), expected, "{host} at {address}");
    }
    let other = rules.check(&HostPort::new("b.org", 80), "1.2.3.4:81".parse().unwrap(), |_| false);
    assert_eq!(other, Err(Denied::NoRule), "the port that is dialled counts");
}

#[test]
fn deny_wins_over_allow() {
    let everything = ["*:*", "bad.org:80", "10.1.2.3:80", "[64:ff9b::]/96:80"];
    let denied = ["*.bad.org:80", "Bad.org:80", "10.0.0.0/8:*", "[2606::1]:80", "1.2.3.4:81"];
    let rules = rules(&everything, &denied);
    for (host, address, rule) in [
        ("bad.org.", "1.2.3.4", Some("Bad.org:80")),
        ("x.BAD.org", "1.2.3.4", Some("*.bad.org:80")),
        ("good.org", "10.1.2.3", Some("10.0.0.0/8:*")),
        ("10.1.2.3", "::ffff:10.1.2.3", Some("10.0.0.0/8:*")),
        ("good.org", "64:ff9b::10.1.2.3", Some("10.0.0.0/8:*")),
        ("good.org", "2002:a01:203::", Some("10.0.0.0/8:*")),
        ("good.org", "2606::1", Some("[2606::1]:80")),
        ("good.org", "1.2.3.4", None),
    ] {
        let expected = rule.map_or_else(|| allowed("*:*"), |rule| Err(by(rule)));
        assert_eq!(ask(&rules, host, address), expected, "{host} at {address}");
    }
}

#[test]
fn a_name_that_leads_to_a_special_address_reaches_it_only_as_far_as_its_rule() {
    // For each address: whether a wildcard reaches it, a name, `localhost`, and a wildcard and a
    // name with allow_private.
    for (address, kind, reached) in [
        ("1.2.3.4", None, "*nl*n"),
        ("10.1.1.1", Some(Special::Private), " nl*n"),
        ("100.64.0.1", Some(Special::Private), " nl*n"),
        ("fd00::1", Some(Special::Private), " nl*n"),
        ("127.0.0.1", Some(Special::Loopback), "  l*n"),
        ("::1", Some(Special::Loopback), "  l*n"),
        ("169.254.169.254", Some(Special::LinkLocal), "   *n"),
        ("fe80::1", Some(Special::LinkLocal), "   *n"),
        ("8.8.4.4", Some(Special::Own), "   *n"),
        ("10.9.9.9", Some(Special::Own), "   *n"),
        ("240.0.0.1", Some(Special::Reserved), "   *n"),
        ("0.0.0.0", Some(Special::Unspecified), "     "),
        ("0.1.2.3", Some(Special::Unspecified), "     "),
        ("::", Some(Special::Unspecified), "     "),
        ("224.0.0.1", Some(Special::Multicast), "     "),
        ("ff02::1", Some(Special::Multicast), "     "),
        ("255.255.255.255", Some(Special::Broadcast), "     "),
    ] {
        let zero = if address.contains(':') { "[::]/0:80" } else { "0.0.0.0/0:80" };
        let ip: IpAddr = address.parse().unwrap();
        let refused = kind.map(|kind| Denied::Special { address: ip, kind });
        let reach = |place: usize, rules: &Rules, host: &str, rule: &str| {
            let expected = match (reached.as_bytes()[place], &refused) {
                (b' ', Some(refused)) => Err(refused.clone()),
                _ => allowed(rule),
            };
            assert_eq!(ask(rules, host, address), expected, "{rule} at {address}");
        };
        for rule in ["*:80", "*.a.org:80", zero] {
            reach(0, &rules(&[rule], &[]), "x.a.org", rule);
            reach(3, &private(&[rule]), "x.a.org", rule);
        }
        reach(1, &rules(&["x.a.org:80"], &[]), "x.a.org", "x.a.org:80");
        reach(2, &rules(&["Localhost.:80"], &[]), "localhost", "Localhost.:80");
        reach(4, &private(&["x.a.org:80"]), "x.a.org", "x.a.org:80");
    }
}

#[test]
fn a_rule_with_the_address_or_its_block_allows_special_addresses_under_any_name() {
    for (rule, address) in [
        ("127.0.0.1:80", "127.0.0.1"),
        ("127.0.0.0/8:80", "::ffff:127.9.9.9"),
        ("[::ffff:127.0.0.1]:80", "127.0.0.1"),
        ("[::1]:80", "::1"),
        ("10.9.9.9:80", "10.9.9.9"),
        ("169.254.169.254:80", "169.254.169.254"),
        ("0.0.0.0:80", "0.0.0.0"),
        ("224.0.0.0/4:80", "224.1.1.1"),
        ("255.255.255.255:80", "255.255.255.255"),
        ("[64:ff9b::]/96:80", "64:ff9b::10.0.0.1"),
    ] {
        let rules = rules(&["*:80", rule], &[]);
        assert_eq!(ask(&rules, "a.org", address), allowed(rule), "{rule}");
        assert_eq!(ask(&rules, address, address), allowed(rule), "{rule}");
    }
}

#[test]
fn gateways_lead_wildcards_to_no_special_address() {
    let rules = rules(&["*:80", "10.0.0.1:80"], &[]);
    for address in ["64:ff9b::10.0.0.1", "2002:a00:1::1"] {
        let refused = Denied::Special { address: address.parse().unwrap(), kind: Special::Private };
        assert_eq!(ask(&rules, "a.org", address), Err(refused));
    }
    assert_eq!(ask(&rules, "a.org", "64:ff9b::1.2.3.4"), allowed("*:80"));
}

#[test]
fn a_name_is_looked_up_only_if_a_rule_could_allow_it() {
    let denied = ["bad.a.org:80", "10.0.0.0/8:80"];
    let names = rules(&["*.a.org:80", "b.org:81", "10.1.1.1:80", "1.2.3.4:90"], &denied);
    for (host, port, expected) in [
        ("x.a.org", 80, Ok(())),
        ("x.a.org", 81, Err(Denied::NoRule)),
        ("bad.A.org.", 80, Err(by("bad.a.org:80"))),
        ("b.org", 81, Ok(())),
        ("b.org", 82, Err(Denied::NoRule)),
        // Its address may be that of a rule.
        ("c.org", 80, Ok(())),
        ("c.org", 90, Ok(())),
        ("c.org", 81, Err(Denied::NoRule)),
        ("1.2.3.4", 90, Ok(())),
        ("1.2.3.5", 90, Err(Denied::NoRule)),
        ("10.1.1.1", 80, Err(by("10.0.0.0/8:80"))),
    ] {
        let asked = HostPort::new(host, port);
        assert_eq!(names.may_resolve(&asked), expected, "{asked}");
    }
    let loopback = rules(&["*:*"], &[]).may_resolve(&HostPort::new("::1", 80));
    let address = Ipv6Addr::LOCALHOST.into();
    assert_eq!(loopback, Err(Denied::Special { address, kind: Special::Loopback }));
}

#[test]
fn a_unix_socket_needs_a_rule_with_its_path() {
    let rules = rules(&["*:*", "unix:/run/a", "unix:/run/b"], &["unix:/run/b", "*:*"]);
    let ask = |path: &str| rules.check_unix(Path::new(path)).map(Rule::to_string);
    assert_eq!(ask("/run/a"), allowed("unix:/run/a"));
    assert_eq!(ask("/run/b"), Err(by("unix:/run/b")));
    for path in ["/run", "/run/a/c", "run/a", "/run/../run/a"] {
        assert_eq!(ask(path), Err(Denied::NoRule), "{path}");
    }
}

#[test]
fn rules_of_one_client_replace_what_is_allowed_to_all_and_add_to_what_is_denied() {
    let common = rules(&["a.org:80", "*.b.org:80"], &["bad.b.org:80"]);
    let own = common.with_own(&rules(&["c.org:80", "*.b.org:80"], &["x.b.org:80"]));
    for (host, expected) in [
        ("c.org", allowed("c.org:80")),
        ("y.b.org", allowed("*.b.org:80")),
        ("a.org", Err(Denied::NoRule)),
        ("x.b.org", Err(by("x.b.org:80"))),
        ("bad.b.org", Err(by("bad.b.org:80"))),
    ] {
        assert_eq!(ask(&own, host, "1.2.3.4"), expected, "{host}");
    }
    let only_deny = common.with_own(&rules(&[], &["a.org:80"]));
    assert_eq!(only_deny.may_resolve(&HostPort::new("a.org", 80)), Err(by("a.org:80")));
    assert_eq!(only_deny.may_resolve(&HostPort::new("y.b.org", 80)), Ok(()));
    assert_eq!(common.with_own(&Rules::default()), common);
}

#[test]
fn private_addresses_are_allowed_to_a_client_with_the_rules_that_allow_them() {
    let (mut common, mut own) = (rules(&["*:80"], &[]), rules(&["*:80"], &[]));
    let reaches = |rules: &Rules| ask(rules, "a.org", "10.0.0.1").is_ok();
    common.allow_private();
    assert!(reaches(&common) && reaches(&common.with_own(&Rules::default())));
    assert!(!reaches(&common.with_own(&own)), "what is said to all concerns the rules for all");
    own.allow_private();
    assert!(reaches(&Rules::default().with_own(&own)));
    let mut alone = Rules::default();
    alone.allow_private();
    assert!(reaches(&rules(&["*:80"], &[]).with_own(&alone)));
}

#[test]
fn a_refusal_says_why() {
    let special = |address: &str, kind| Denied::Special { address: address.parse().unwrap(), kind };
    for (denied, text) in [
        (Denied::NoRule, "no rule allows it"),
        (by("10.0.0.0/8:*"), "denied by the rule 10.0.0.0/8:*"),
        (
            special("127.0.0.1", Special::Loopback),
            "127.0.0.1 is a loopback address, and no rule names it",
        ),
        (
            special("64:ff9b::a00:1", Special::Private),
            "64:ff9b::a00:1 stands for 10.0.0.1, a private address, and no rule names it",
        ),
        (
            special("2002:a00:1::", Special::Own),
            "2002:a00:1:: is an address of this machine, and no rule names it",
        ),
    ] {
        assert_eq!(denied.to_string(), text);
    }
}

/// Rules, and for each whether it fits a name and an IPv4 address, by other means.
type Fits = fn(&str, [u8; 4]) -> bool;
const MODEL: [(&str, Fits); 7] = [
    ("*:80", |_, _| true),
    ("*.a.org:80", |name, _| name.ends_with(".a.org")),
    ("a.org:80", |name, _| name == "a.org"),
    ("localhost:80", |name, _| name == "localhost"),
    ("1.2.3.4:80", |_, v4| v4 == [1, 2, 3, 4]),
    ("10.0.0.0/8:80", |_, v4| v4[0] == 10),
    ("0.0.0.0/0:80", |_, _| true),
];
const NAMES: [&str; 5] = ["a.org", "x.a.org", "b.org", "localhost", "1.2.3.4"];
const ADDRESSES: [[u8; 4]; 6] =
    [[1, 2, 3, 4], [10, 1, 1, 1], [10, 9, 9, 9], [127, 0, 0, 1], [8, 8, 4, 4], [224, 0, 0, 1]];

quickcheck! {
    fn what_is_allowed_fits_an_allow_rule_and_no_deny_rule(
        allow: Vec<u8>, deny: Option<u8>, name: usize, address: usize, private: bool
    ) -> bool {
        let pick = |index: &u8| MODEL[usize::from(*index) % MODEL.len()];
        let (name, v4) = (NAMES[name % NAMES.len()], ADDRESSES[address % ADDRESSES.len()]);
        let texts = |chosen: &[u8]| chosen.iter().map(|one| pick(one).0).collect::<Vec<_>>();
        let mut rules = rules(&texts(&allow), &texts(deny.as_slice()));
        if private {
            rules.allow_private();
        }
        let asked = HostPort::new(name, 80);
        let decision = rules.check(&asked, (v4, 80).into(), is_own);
        let mapped = (Ipv4Addr::from(v4).to_ipv6_mapped(), 80).into();
        let fits = |chosen: &u8| pick(chosen).1(name, v4);
        let is_sound = match &decision {
            Ok(rule) => {
                let told = |chosen: &&u8| pick(chosen).0 == rule.to_string();
                let is_literal = name.parse::<IpAddr>().is_ok();
                allow.iter().find(told).is_some_and(fits)
                    && !deny.iter().any(fits)
                    && (is_literal || rules.may_resolve(&asked).is_ok())
            }
            Err(Denied::By(rule)) => deny.iter().any(|one| pick(one).0 == rule && fits(one)),
            Err(Denied::NoRule | Denied::NotAName) => !allow.iter().any(fits),
            Err(Denied::Special { .. }) => allow.iter().any(fits),
        };
        is_sound && decision == rules.check(&asked, mapped, is_own)
    }
}

#[test]
fn a_name_with_other_characters_is_refused_before_it_is_looked_up() {
    let mut rules = Rules::default();
    rules.allow("*:*".parse().unwrap());
    rules.deny("bad.example.org:*".parse().unwrap());
    for host in [r"\098ad.example.org", r"b\ad.example.org", "b\u{202e}.org", "fe80::1%eth0", "a/b"]
    {
        let asked = HostPort { host: host.to_owned(), port: 80 };
        assert_eq!(rules.may_resolve(&asked), Err(Denied::NotAName), "{host}");
    }
    assert_eq!(rules.may_resolve(&HostPort::new("_srv.a-b.org.", 80)), Ok(()));
}
