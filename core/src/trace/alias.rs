//! Names that stand for what must not be in a trace.

use crate::id::SessionId;
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
        if let Some(alias) = self.targets.get(opaque) {
            return *alias;
        }
        let alias = self.part_of_a_target();
        self.targets.insert(Bytes::copy_from_slice(opaque), alias);
        alias
    }

    pub(super) fn part_of_a_target(&mut self) -> u64 {
        self.given += 1;
        self.given
    }
}

pub(super) fn target_bytes(alias: u64, len: usize) -> Bytes {
    let mut bytes: Vec<u8> = format!("t{alias}").into_bytes();
    bytes.resize(len, b'.');
    bytes.into()
}

pub(super) fn session_id(alias: u64) -> SessionId {
    SessionId(u128::from(alias).to_be_bytes())
}
