//! The highest value of a sliding window of rounds, in constant memory: Linux's `win_minmax.c`.
//!
//! Invariant: the three values fall, or stay, and their times rise.

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    round: u64,
    value: u64,
}

/// The best values of the window, of its last three quarters, and of its last half.
#[derive(Clone, Debug, Default)]
pub(super) struct Highest([Entry; 3]);

impl Highest {
    pub fn get(&self) -> u64 {
        self.0[0].value
    }

    pub fn add(&mut self, window: u64, round: u64, value: u64) {
        let new = Entry { round, value };
        if value >= self.0[0].value || round - self.0[2].round > window {
            self.0 = [new; 3];
            return;
        }
        if value >= self.0[1].value {
            (self.0[1], self.0[2]) = (new, new);
        } else if value >= self.0[2].value {
            self.0[2] = new;
        }
        let age = round - self.0[0].round;
        if age > window {
            // The best one is too old, and perhaps the next one too.
            self.0 = [self.0[1], self.0[2], new];
            if round - self.0[0].round > window {
                self.0 = [self.0[1], self.0[2], new];
            }
        } else if self.0[1].round == self.0[0].round && age > window / 4 {
            (self.0[1], self.0[2]) = (new, new);
        } else if self.0[2].round == self.0[1].round && age > window / 2 {
            self.0[2] = new;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_value_is_forgotten_after_the_window() {
        let mut highest = Highest::default();
        highest.add(10, 0, 100);
        for round in 1..=10 {
            highest.add(10, round, 60 - round);
            assert_eq!(highest.get(), 100, "round {round}");
        }
        highest.add(10, 11, 40);
        // The best of the rounds after the first quarter.
        assert!((50..60).contains(&highest.get()), "{}", highest.get());
        highest.add(10, 12, 70);
        assert_eq!(highest.get(), 70);
    }
}
