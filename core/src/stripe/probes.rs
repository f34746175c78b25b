//! PING and PONG of one stripe. Both go on the stripe that they are about.

#[derive(Clone, Hash, Debug)]
pub(crate) struct Probes {
    /// The PING that is on its way: its nonce, and the end of its bytes.
    ping: Option<(u64, u64)>,
    ping_owed: bool,
    /// The nonce of the PONG that is owed.
    pong_owed: Option<u64>,
}

impl Probes {
    /// A stripe begins with a PING, for a first round trip.
    pub(crate) fn new() -> Self {
        Probes { ping: None, ping_owed: true, pong_owed: None }
    }

    /// A PING is to be sent, unless one is on its way.
    pub(crate) fn ask(&mut self) {
        self.ping_owed = self.ping.is_none();
    }

    pub(crate) fn insist(&mut self) {
        self.ping_owed = true;
    }

    pub(crate) fn owes_ping(&self) -> bool {
        self.ping_owed
    }

    pub(crate) fn is_asked(&self) -> bool {
        self.ping_owed || self.ping.is_some()
    }

    #[cfg(test)]
    pub(crate) fn ping(&self) -> Option<(u64, u64)> {
        self.ping
    }

    /// A PING was sent, with the stripe's bytes up to `end`.
    pub(crate) fn sent(&mut self, nonce: u64, end: u64) {
        self.ping_owed = false;
        self.ping = Some((nonce, end));
    }

    /// The bytes that a PONG acknowledges: a stripe keeps order, so all up to the PING.
    pub(crate) fn answered(&mut self, nonce: u64) -> Option<u64> {
        let (_, end) = self.ping.take_if(|(expected, _)| *expected == nonce)?;
        Some(end)
    }

    pub(crate) fn owe_pong(&mut self, nonce: u64) {
        self.pong_owed = Some(nonce);
    }

    pub(crate) fn owes_pong(&self) -> bool {
        self.pong_owed.is_some()
    }

    pub(crate) fn take_pong(&mut self) -> Option<u64> {
        self.pong_owed.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_ping_is_on_its_way_at_a_time_and_only_its_own_pong_answers_it() {
        let mut probes = Probes::new();
        assert!(probes.owes_ping(), "the first one");
        probes.sent(7, 100);
        assert!(!probes.owes_ping() && probes.is_asked());
        probes.ask();
        assert!(!probes.owes_ping(), "one is on its way");
        assert_eq!((probes.answered(6), probes.answered(7)), (None, Some(100)));
        assert_eq!(probes.answered(7), None, "it was answered");
        assert!(!probes.is_asked());
        probes.ask();
        assert!(probes.owes_ping());
    }

    #[test]
    fn only_the_latest_ping_is_answered_and_once() {
        let mut probes = Probes::new();
        probes.owe_pong(1);
        probes.owe_pong(2);
        assert!(probes.owes_pong());
        assert_eq!((probes.take_pong(), probes.take_pong()), (Some(2), None));
    }
}
