//! Choices made from outside: so that every choice which a scheduler could make can be tried in turn.
//!
//! The caller gives a list of choices and learns how many options there were at each. Beyond the end of the list the first option is taken,
//! so the list of all zeros comes first and the last choice that has another option left is the one to count up: an odometer.

use super::Candidate;
use crate::id::StripeId;
use alloc::vec::Vec;

/// Choices to make, and those that were made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script {
    choices: Vec<u8>,
    /// Choose for control, too; otherwise it takes the first writable stripe.
    control: bool,
    /// Each choice that was made, with the number of options; those of one option are left out.
    pub made: Vec<(u8, u8)>,
}

impl Script {
    /// To make these choices.
    pub fn new(choices: Vec<u8>, control: bool) -> Self {
        Script { choices, control, made: Vec::new() }
    }

    /// Any writable stripe; or none, if a better one might be writable later.
    pub fn pick(&mut self, candidates: &[Candidate]) -> Option<StripeId> {
        let writable = candidates.iter().filter(|candidate| candidate.writable).count();
        let may_wait = writable > 0 && writable < candidates.len();
        let choice = self.choose(writable + usize::from(may_wait));
        candidates.iter().filter(|candidate| candidate.writable).nth(choice).map(|candidate| candidate.stripe)
    }

    /// Any writable stripe.
    pub fn pick_for_control(&mut self, candidates: &[Candidate]) -> Option<StripeId> {
        let writable = candidates.iter().filter(|candidate| candidate.writable);
        let choice = if self.control { self.choose(writable.clone().count()) } else { 0 };
        writable.map(|candidate| candidate.stripe).nth(choice)
    }

    fn choose(&mut self, options: usize) -> usize {
        if options < 2 {
            return 0;
        }
        let choice = self.choices.get(self.made.len()).copied().unwrap_or(0);
        assert!(usize::from(choice) < options, "choice {choice} of {options}");
        self.made.push((choice, options as u8));
        usize::from(choice)
    }
}
