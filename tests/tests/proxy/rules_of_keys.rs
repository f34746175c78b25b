//! Rules that single keys have in the list of peers of a server.

use std::net::SocketAddr;
use striper_tests::listed::{Listed, keygen, lines, pubkey};
use striper_tests::{
    Event, Origin, Proxy, TempDir, connect, exchange, expect_reset, expect_reset_at, run,
};

/// A line that allows a target.
fn allow(target: SocketAddr) -> String {
    format!("    allow {target}\n")
}

/// A client can't reach its target. Returns the error of the server about it.
fn refused(listed: &Listed, key: &str, target: SocketAddr) -> Event {
    let earlier = listed.server.count("connection_failed");
    let client = listed.forward(key, target);
    expect_reset_at(client.addr());
    listed.server.wait_for_some("connection_failed", earlier + 1).swap_remove(earlier)
}

#[test]
fn each_key_reaches_what_its_own_rules_allow_and_others_what_is_allowed_to_all() {
    let [common, own, denied] = [(); 3].map(|()| Origin::start());
    let [common_rule, denied_rule] = [&common, &denied].map(|origin| origin.addr().to_string());
    let rules = [allow(own.addr()), allow(denied.addr())].concat();
    let (listed, [ann, bob, eve]) = Listed::start(
        &["server", "127.0.0.1:0", "--allow", &common_rule, "--deny", &denied_rule],
        [("ann", &rules), ("bob", ""), ("eve", &format!("\tdeny {common_rule}\n"))],
    );
    for (key, target) in [(&ann, &own), (&bob, &common)] {
        let client = listed.forward(key, target.addr());
        client.open(target);
        let target = target.addr().to_string();
        listed.server.wait_for_any("a rule for the target", |event| {
            event.is("connection_opened")
                && event.text("target") == target
                && event.text("rule") == target
        });
    }
    for (key, name, target, rule) in [
        (&ann, "ann", &common, None),
        (&ann, "ann", &denied, Some(&denied_rule)),
        (&bob, "bob", &own, None),
        (&eve, "eve", &common, Some(&common_rule)),
    ] {
        let event = refused(&listed, key, target.addr());
        assert_eq!(event.text("key"), name, "{event}");
        match rule {
            Some(rule) => {
                assert_eq!(event.text("rule"), rule);
                assert!(event.text("reason").contains(&format!("denied by the rule {rule}")));
            }
            None => assert!(event.text("reason").contains("no rule allows it"), "{event}"),
        }
    }
    // The first connection at the denied target comes from here.
    let here = connect(denied.addr());
    assert_eq!(denied.accept().peer_addr().unwrap(), here.local_addr().unwrap());
}

#[test]
fn a_server_without_rules_for_all_needs_a_target_or_a_key_with_rules() {
    let (default, named) = (Origin::start(), Origin::start());
    let target = default.addr().to_string();
    let clients = [("ann", &*allow(named.addr())), ("bob", "")];
    for words in [&["server", "127.0.0.1:0"][..], &["server", "127.0.0.1:0", &target]] {
        let (listed, [ann, bob]) = Listed::start(words, clients);
        listed.forward(&ann, named.addr()).open(&named);
        assert!(refused(&listed, &bob, named.addr()).text("reason").contains("no rule"));
        let plain = Proxy::client(listed.server.addr(), &listed.keys(&bob));
        match words.len() {
            2 => expect_reset_at(plain.addr()),
            _ => {
                plain.open(&default);
                let opened = listed.server.wait_for_any("the default target", |event| {
                    event.is("connection_opened") && event.text("target") == target
                });
                assert!(!opened.to_string().contains("\"rule\""), "{opened}");
            }
        }
    }
    let folder = TempDir::create();
    let own = keygen(&folder, "own.key", &["--pair"]);
    let list = folder.write("list", pubkey(&own));
    let finished = run(&["server", "127.0.0.1:0", "-k", &own, "--peers", &list], &[]);
    assert_eq!(finished.code, Some(2), "{}", finished.stderr);
    for part in ["TARGET", "--allow", &format!("no allow is in {list}")] {
        assert!(finished.stderr.contains(part), "{part}: {}", finished.stderr);
    }
}

#[test]
fn rules_that_are_read_again_spare_open_connections_that_they_allow_and_reset_others() {
    let [one, other] = [(); 2].map(|()| Origin::start());
    let (listed, keys) = Listed::start(&["server", "127.0.0.1:0"], [("ann", &allow(one.addr()))]);
    let client = listed.forward(&keys[0], one.addr());
    let (local, target) = client.open(&one);
    refused(&listed, &keys[0], other.addr());
    let wrong = lines(&keys, [&allow(other.addr()).replace("allow", "alow")]);
    let told = listed.list(&wrong, "keys_not_read");
    let message = told.text("message");
    assert!(message.contains("the earlier ones stay") && message.contains(": line 2: "), "{told}");
    assert!(message.contains("did you mean allow?"), "{told}");
    assert!(told.text("excerpt").ends_with("\n    ^^^^"), "{told}");
    client.open(&one);
    refused(&listed, &keys[0], other.addr());
    let both = [one.addr(), other.addr()].map(allow).concat();
    let told = listed.list(&lines(&keys, [&both]), "keys_read");
    assert!(told.text("message").contains("1 peer (1 with rules)"), "{told}");
    let keeper = listed.forward(&keys[0], other.addr());
    let (kept, kept_target) = keeper.open(&other);
    exchange(&local, &target, 10..100_000);
    listed.list(&lines(&keys, [&allow(other.addr())]), "keys_read");
    let (mut local, mut target) = (local, target);
    assert!(expect_reset(&mut local).is_empty() && expect_reset(&mut target).is_empty());
    let told = listed.server.wait_for_any("the end of a connection", |event| {
        event.is("connection_ended") && event.text("reason").contains("the rules no longer allow")
    });
    assert_eq!(told.text("end"), "reset");
    refused(&listed, &keys[0], one.addr());
    exchange(&kept, &kept_target, 10..100_000);
}

#[test]
fn a_mistake_in_the_rules_of_a_key_is_shown_in_its_line() {
    let folder = TempDir::create();
    let own = keygen(&folder, "own.key", &["--pair"]);
    let peer = pubkey(&keygen(&folder, "ann.key", &["--pair"]));
    for (rules, parts) in [
        (
            "    alow *.example.org:443\n",
            &[
                "list: line 2: there is no rule \"alow\"; did you mean allow?\n",
                "?\n    alow *.example.org:443\n    ^^^^\n",
            ][..],
        ),
        (
            "  # web\n\tdeny 10.0.0.1/8:*\n",
            &[
                "list: line 3: 10.0.0.1 is not the first",
                "\n    deny 10.0.0.1/8:*\n         ^^^^^^^^^^\n",
            ],
        ),
        ("allow a:1\n", &["line 2: this rule is not indented; indent it"]),
        ("  allow-private yes\n", &["\n    allow-private yes\n                  ^^^\n"]),
    ] {
        let list = folder.write("list", format!("{peer}{rules}"));
        let finished = run(&["server", "127.0.0.1:0", "-k", &own, "--peers", &list], &[]);
        assert_eq!(finished.code, Some(8), "{}", finished.stderr);
        for part in parts {
            assert!(finished.stderr.contains(part), "{part} is not in: {}", finished.stderr);
        }
    }
}

#[test]
fn a_line_with_a_secret_is_never_shown() {
    let folder = TempDir::create();
    let own = keygen(&folder, "own.key", &["--pair"]);
    let secret = String::from_utf8(folder.read("own.key")).unwrap();
    for line in [secret.clone(), format!("  {secret}"), format!("{}  {secret}", pubkey(&own))] {
        let list = folder.write("list", line);
        let finished = run(&["-s", "0", "a:1", "-k", &own, "--peers", &list], &[]);
        assert_eq!(finished.code, Some(8), "{}", finished.stderr);
        assert!(finished.stderr.contains("this is a private key"), "{}", finished.stderr);
        let digits = secret.trim().rsplit(':').next().unwrap();
        assert!(!finished.stderr.contains(digits), "{}", finished.stderr);
    }
}
