//! Names that stand for what must not be in a trace.

use crate::id::SessionId;
use crate::wire::varint;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::vec::Vec;
use bytes::Bytes;

/// The aliases given so far: 1, 2, 3 … for each kind, in the order in which they are met.
#[derive(Clone, Debug, Default)]
pub(super) struct Aliases {
    sessions: BTreeMap<SessionId, u64>,
    instances: BTreeMap<u64, u64>,
    targets: BTreeMap<Bytes, u64>,
    /// Aliases of targets, those included that were met in two parts and so can't be known again.
    given: u64,
}

impl Aliases {
    pub(super) fn session(&mut self, id: SessionId) -> u64 {
        let next = self.sessions.len() as u64 + 1;
        *self.sessions.entry(id).or_insert(next)
    }

    pub(super) fn instance(&mut self, instance: u64) -> u64 {
        let next = self.instances.len() as u64 + 1;
        *self.instances.entry(instance).or_insert(next)
    }

    pub(super) fn target(&mut self, opaque: &[u8]) -> u64 {
        let demands = demands(opaque).unwrap_or_else(|| opaque.to_vec());
        if let Some(alias) = self.targets.get(&demands[..]) {
            return *alias;
        }
        let alias = self.part_of_a_target();
        self.targets.insert(demands.into(), alias);
        alias
    }

    pub(super) fn part_of_a_target(&mut self) -> u64 {
        self.given += 1;
        self.given
    }
}

/// The options of an opaque field with odd keys (PROTOCOL.md, section 9). Those with even keys are
/// hints that differ from flow to flow, such as the address of a program. `None` if it has others.
fn demands(opaque: &[u8]) -> Option<Vec<u8>> {
    let (mut rest, mut demands) = (opaque, Vec::new());
    while !rest.is_empty() {
        let option = rest;
        let key = varint::take_whole(&mut rest).ok()?;
        let len = varint::take_whole(&mut rest).ok()?;
        rest = rest.get(usize::try_from(len).ok()?..)?;
        if key % 2 == 1 {
            demands.extend_from_slice(&option[..option.len() - rest.len()]);
        }
    }
    Some(demands)
}

pub(super) fn target_bytes(alias: u64, len: usize) -> Bytes {
    let mut bytes: Vec<u8> = format!("t{alias}").into_bytes();
    bytes.resize(len, b'.');
    bytes.into()
}

pub(super) fn session_id(alias: u64) -> SessionId {
    SessionId(u128::from(alias).to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flows_to_one_target_have_one_alias_whatever_program_they_come_from() {
        let mut aliases = Aliases::default();
        let [here, there] = [b"\x01\x03\0\x50a", b"\x01\x03\0\x50b"];
        let from = |target: &[u8], port| [target, &[2, 2, port, 0]].concat();
        let given = [from(here, 1), from(here, 2), from(there, 1), here.to_vec(), from(b"", 1)];
        assert_eq!(given.map(|opaque| aliases.target(&opaque)), [1, 1, 2, 1, 3]);
        assert_eq!((aliases.target(b""), aliases.targets.len()), (3, 3));
        // No list of options: cut behind a key, in a length, and in a value.
        let others = [&b"\x02"[..], b"\x02\x80", b"\x02\x03ab", b"\x01\x03ab"];
        assert_eq!(others.map(|opaque| aliases.target(opaque)), [4, 5, 6, 7]);
    }
}
