//! Each direction ends for itself.

use std::net::TcpStream;
use std::thread;
use striper_tests::{Origin, Pair, Pattern, expect_fin, finish, loopbacks};

const QUESTION: Pattern = Pattern(1);
const ANSWER: Pattern = Pattern(2);

/// `asks` sends and finishes, and only then is answered.
fn ask(asks: &mut TcpStream, answers: &mut TcpStream, question: u64, answer: u64) {
    thread::scope(|scope| {
        scope.spawn(|| {
            QUESTION.send(asks, 0..question);
            finish(asks);
            ANSWER.expect_all(asks, 0..answer);
        });
        scope.spawn(|| {
            QUESTION.expect_all(answers, 0..question);
            ANSWER.send(answers, 0..answer);
            finish(answers);
        });
    });
}

#[test]
fn a_client_that_has_finished_still_gets_the_answer() {
    for address in loopbacks() {
        let origin = Origin::on(address);
        let pair = Pair::to(origin.addr());
        for (question, answer) in
            [(0, 0), (1, 1), (0, 3_000_000), (3_000_000, 0), (3_000_000, 3_000_000)]
        {
            let mut client = pair.connect();
            ask(&mut client, &mut origin.accept(), question, answer);
        }
    }
}

#[test]
fn a_server_that_has_finished_still_gets_what_the_client_sends() {
    for address in loopbacks() {
        let origin = Origin::on(address);
        let pair = Pair::to(origin.addr());
        for (question, answer) in
            [(0, 0), (1, 1), (0, 3_000_000), (3_000_000, 0), (3_000_000, 3_000_000)]
        {
            let mut client = pair.connect();
            ask(&mut origin.accept(), &mut client, question, answer);
        }
    }
}

#[test]
fn one_direction_goes_on_as_a_conversation_would_after_the_other_has_ended() {
    let origin = Origin::start();
    let pair = Pair::to(origin.addr());
    let mut client = pair.connect();
    let mut server = origin.accept();
    finish(&client);
    expect_fin(&mut server);
    for at in 0..100 {
        ANSWER.send(&mut server, at * 10..(at + 1) * 10);
        ANSWER.expect(&mut client, at * 10..(at + 1) * 10);
    }
    finish(&server);
    expect_fin(&mut client);
}
