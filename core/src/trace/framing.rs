//! Tells framing from payload in a stripe's bytes, beside the session.

use super::Run;
use super::alias::{Aliases, target_bytes};
use crate::wire::frame::{Frame, MAX_HEAD, Parsed, parse};
use crate::wire::varint;
use alloc::vec::Vec;
use bytes::Bytes;
use core::ops::Range;

const OPEN: u64 = 0x01;

/// Where one stripe's byte stream stands.
#[derive(Clone, Debug)]
pub(super) enum Framing {
    /// Between frames, with the first bytes of a head; and the alias of a target that came in part.
    Head(Vec<u8>, Option<u64>),
    /// Inside a payload, or a frame that is skipped.
    Payload(u64),
    /// The peer has broken the protocol: the session ends, and what follows is not looked at.
    Lost,
}

impl Framing {
    pub(super) fn new() -> Self {
        Framing::Head(Vec::new(), None)
    }

    /// Cuts what came in into runs.
    pub(super) fn split(&mut self, mut data: &[u8], aliases: &mut Aliases) -> Vec<Run> {
        let mut runs = Vec::new();
        while !data.is_empty() {
            match self {
                Framing::Lost => {
                    runs.push(Run::Payload(data.len() as u64));
                    break;
                }
                Framing::Payload(left) => {
                    let len = (data.len() as u64).min(*left);
                    runs.push(Run::Payload(len));
                    data = &data[len as usize..];
                    *left -= len;
                    if *left == 0 {
                        *self = Framing::new();
                    }
                }
                Framing::Head(seen, alias) => {
                    let before = seen.len();
                    seen.extend_from_slice(&data[..data.len().min(MAX_HEAD)]);
                    let (end, next) = match parse(seen) {
                        Ok(Parsed::More) => (seen.len(), None),
                        Ok(Parsed::Frame { head, payload: 0, .. }) => (head, Some(Framing::new())),
                        Ok(Parsed::Frame { head, payload, .. }) => {
                            (head, Some(Framing::Payload(payload)))
                        }
                        Ok(Parsed::Skip { head, rest: 0 }) => (head, Some(Framing::new())),
                        Ok(Parsed::Skip { head, rest }) => (head, Some(Framing::Payload(rest))),
                        Err(violation) => {
                            // No more of it than shows what is wrong.
                            let shows = |end: &usize| parse(&seen[..*end]) == Err(violation);
                            let end = ((before + 1)..seen.len()).find(shows);
                            (end.unwrap_or(seen.len()), Some(Framing::Lost))
                        }
                    };
                    seen.truncate(end);
                    let mut head = seen.clone();
                    mask(&mut head, alias, aliases);
                    runs.push(Run::Head(Bytes::copy_from_slice(&head[before..])));
                    data = &data[end - before..];
                    if let Some(next) = next {
                        *self = next;
                    }
                }
            }
        }
        runs
    }
}

/// Replaces what there is of an OPEN's opaque field.
fn mask(head: &mut [u8], known: &mut Option<u64>, aliases: &mut Aliases) {
    let Some(field) = opaque_field(head).filter(|field| field.start < head.len()) else { return };
    let there = field.start..field.end.min(head.len());
    let alias = match known {
        Some(alias) => *alias,
        None if there.end == field.end => aliases.target(&head[there.clone()]),
        None => *known.insert(aliases.part_of_a_target()),
    };
    let bytes = target_bytes(alias, field.len());
    head[there.clone()].copy_from_slice(&bytes[..there.len()]);
}

fn opaque_field(head: &[u8]) -> Option<Range<usize>> {
    let mut rest = head;
    let mut number = || varint::take(&mut rest).ok().flatten();
    let (_length, kind) = (number()?, number()?);
    if kind != OPEN {
        return None;
    }
    let (_flow, _early, _credit, len) = (number()?, number()?, number()?, number()?);
    let start = head.len() - rest.len();
    Some(start..start + usize::try_from(len).ok().filter(|len| *len <= crate::config::MAX_OPAQUE)?)
}

/// Whether a frame's head, as a session makes it, is one, and how much payload belongs to it.
pub(super) fn frame(header: &[u8]) -> Option<(Frame, u64)> {
    match parse(header) {
        Ok(Parsed::Frame { frame, payload, .. }) => Some((frame, payload)),
        _ => None,
    }
}
