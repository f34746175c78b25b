//! Choices made from outside: so that every choice which a scheduler could make can be tried in
//! turn.
//!
//! The caller gives a list of choices and learns how many options there were at each. Beyond the
//! end of the list the first option is taken, so the list of all zeros comes first. The last choice
//! that has another option left is the one to count up, as in an odometer.

use super::{Candidate, Choose};
use crate::id::StripeId;
use alloc::vec::Vec;

/// Choices to make, and those that were made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script {
    choices: Vec<u8>,
    /// Choose for control, too; otherwise it takes the first writable stripe.
    control: bool,
    /// Each choice that was made, with the number of options; those of one option are left out.
    made: Vec<(u8, u8)>,
}

impl Script {
    pub(crate) fn new(choices: Vec<u8>, control: bool) -> Self {
        Script { choices, control, made: Vec::new() }
    }

    pub(crate) fn made(&self) -> &[(u8, u8)] {
        &self.made
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

impl Choose for Script {
    /// Any writable stripe; or none, if a better one might be writable later. With none writable,
    /// to wait is all there is.
    fn pick(&mut self, candidates: &[Candidate], _len: u64, _backlog: u64) -> Option<StripeId> {
        let mut writable = candidates.iter().filter(|candidate| candidate.writable);
        let options = writable.clone().count();
        let may_wait = options < candidates.len();
        let choice = self.choose(options + usize::from(may_wait));
        writable.nth(choice).map(|candidate| candidate.stripe)
    }

    fn pick_for_control(&mut self, candidates: &[Candidate]) -> Option<StripeId> {
        let writable = candidates.iter().filter(|candidate| candidate.writable);
        let choice = if self.control { self.choose(writable.clone().count()) } else { 0 };
        writable.map(|candidate| candidate.stripe).nth(choice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scheduler::tests::{candidate, ids};
    use alloc::vec;

    fn full(id: u64) -> Candidate {
        Candidate { writable: false, ..candidate(id) }
    }

    #[test]
    fn each_writable_stripe_can_be_chosen_and_waiting_if_that_may_pay() {
        let all = [candidate(1), candidate(4)];
        let mut script = Script::new(vec![1, 0], false);
        assert_eq!([(); 2].map(|()| script.pick(&all, 1, 1)), ids([4, 1]));
        assert_eq!(script.made, [(1, 2), (0, 2)]);
        let some = [candidate(1), full(4), candidate(9)];
        let mut script = Script::new(vec![1, 2], false);
        assert_eq!([(); 2].map(|()| script.pick(&some, 1, 1)), [Some(StripeId(9)), None]);
        assert_eq!(script.made, [(1, 3), (2, 3)]);
    }

    #[test]
    fn a_single_option_takes_no_choice_from_the_list() {
        let mut script = Script::new(vec![1], true);
        assert_eq!(script.pick(&[full(1), full(4)], 1, 1), None);
        assert_eq!(script.pick(&[candidate(1)], 1, 1), Some(StripeId(1)));
        assert_eq!(script.pick_for_control(&[full(1), candidate(4)]), Some(StripeId(4)));
        assert!(script.made.is_empty());
        assert_eq!(script.pick(&[candidate(1), full(4)], 1, 1), None, "the first real choice");
    }

    #[test]
    fn beyond_the_list_the_first_option_is_taken() {
        let mut script = Script::new(vec![], true);
        let stripes = [full(1), candidate(4), candidate(9)];
        assert_eq!([script.pick(&stripes, 1, 1), script.pick_for_control(&stripes)], ids([4, 4]));
        assert_eq!(script.made, [(0, 3), (0, 2)]);
    }

    #[test]
    fn control_is_a_choice_only_if_asked_for() {
        let stripes = [full(1), candidate(4), candidate(9)];
        let mut script = Script::new(vec![1], true);
        assert_eq!(script.pick_for_control(&stripes), Some(StripeId(9)));
        let mut script = Script::new(vec![1], false);
        assert_eq!(script.pick_for_control(&stripes), Some(StripeId(4)));
        assert!(script.made.is_empty());
    }

    #[test]
    #[should_panic(expected = "choice 2 of 2")]
    fn a_choice_that_is_none_is_a_mistake_of_the_caller() {
        Script::new(vec![2], false).pick(&[candidate(1), candidate(4)], 1, 1);
    }
}
