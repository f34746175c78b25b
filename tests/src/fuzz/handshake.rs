//! The TLS start of a stripe. The victim has a key. On the wire is either anything, or the bytes of
//! an honest counterpart, changed on their way.
//!
//! The first byte says which end is attacked and how. The rest is the bytes on the wire, or the
//! changes of them. TLS draws random numbers from the system, so an input repeats the choices and
//! not the bytes. The checks hold for all of them.

use super::ends::{Heard, end, say};
use bytes::Bytes;
use std::task::{Context, Waker};
use striper_runtime::{Pipe, memory_pipe};

/// The bytes of the honest counterpart before it finishes.
const SAID: &[u8] = b"what an honest counterpart has to say, and nothing else";

/// Deliveries before the wire goes quiet.
const ROUNDS: usize = 12;

pub fn handshake(input: &[u8], _allocated: impl Fn() -> usize) {
    let Some((choice, rest)) = input.split_first() else { return };
    let server = choice & 1 == 1;
    if choice & 2 == 0 { raw(server, rest) } else { between(server, rest) }
}

/// A counterpart without a key says anything.
fn raw(server: bool, said: &[u8]) {
    let (below, mut wire) = memory_pipe();
    let (mut victim, mut heard, mut answer) =
        (end(below, server), Heard::default(), Heard::default());
    heard.listen(&mut victim);
    for part in said.chunks(said.len() / 5 + 1) {
        say(&mut wire, Bytes::copy_from_slice(part));
        heard.listen(&mut victim);
        answer.listen(&mut wire);
    }
    let _ = wire.poll_finish(&mut Context::from_waker(Waker::noop()));
    heard.listen(&mut victim);
    answer.listen(&mut wire);
    assert!(victim.info().peer.is_none(), "it takes this for somebody with a key");
    assert!(heard.bytes.is_empty() && !heard.fin, "it has heard something from nobody");
    assert!(heard.broken, "the wire has ended, and nobody is told");
    let (answered, said) = (answer.bytes.len(), said.len());
    assert!(answered <= 2_000 + said, "{answered} bytes for {said}");
}

/// Somebody stands between two honest ends and changes what goes to the victim.
fn between(server: bool, acts: &[u8]) {
    let ((below, mut near), (far_below, mut far)) = (memory_pipe(), memory_pipe());
    let (mut victim, mut honest) = (end(below, server), end(far_below, !server));
    let (mut heard, mut back) = (Heard::default(), Heard::default());
    let (mut to_victim, mut to_honest) = (Heard::default(), Heard::default());
    let mut acts = acts.chunks_exact(4);
    let mut said = false;
    for _ in 0..ROUNDS {
        back.listen(&mut honest);
        if honest.info().peer.is_some() && !said {
            said = true;
            say(&mut honest, Bytes::from_static(SAID));
            let _ = honest.poll_finish(&mut Context::from_waker(Waker::noop()));
        }
        to_victim.listen(&mut far);
        let mut flight = std::mem::take(&mut to_victim.bytes);
        if !flight.is_empty()
            && let Some(act) = acts.next()
        {
            change(&mut flight, act);
        }
        say(&mut near, flight.into());
        heard.listen(&mut victim);
        to_honest.listen(&mut near);
        say(&mut far, std::mem::take(&mut to_honest.bytes).into());
        assert!(SAID.starts_with(&heard.bytes), "it has heard what nobody has said");
        assert!(!heard.fin || heard.bytes == SAID, "an end before all that was said");
    }
}

fn change(flight: &mut Vec<u8>, act: &[u8]) {
    let at = usize::from(u16::from_le_bytes([act[1], act[2]])) % flight.len();
    match act[0] % 6 {
        0 => {}
        1 => flight[at] ^= act[3] | 1,
        2 => flight.insert(at, act[3]),
        3 => _ = flight.drain(at..(at + 1 + usize::from(act[3])).min(flight.len())),
        4 => flight.truncate(at),
        _ => flight.extend_from_within(at..),
    }
}
