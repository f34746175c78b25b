//! Makes choices out of a fuzzer's bytes. Used up, it says zero for ever, so that every input means
//! something.

#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'a>(&'a [u8]);

impl<'a> Source<'a> {
    pub fn new(data: &'a [u8]) -> Self {
        Source(data)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    pub fn choice(&mut self, count: usize) -> usize {
        usize::from(self.byte()) % count.max(1)
    }

    pub fn one_of<T>(&mut self, choices: impl ExactSizeIterator<Item = T>) -> Option<T> {
        let mut choices = choices;
        if choices.len() == 0 {
            return None;
        }
        let index = self.choice(choices.len());
        choices.nth(index)
    }

    /// A length: small ones exactly, large ones coarsely, up to 64 KiB.
    pub fn length(&mut self) -> usize {
        match usize::from(self.byte()) {
            small @ 0..128 => small,
            middle @ 128..192 => (middle - 126) * 64,
            large => (large - 191) * 1024,
        }
    }

    /// Any number that fits a varint: small, near a power of two, or spelled out.
    pub fn number(&mut self) -> u64 {
        let most = striper_core::wire::varint::MAX;
        match self.byte() {
            small @ 0..160 => u64::from(small),
            power @ 160..222 => 1 << (power - 160),
            below @ 222..254 => (1 << ((below - 222) * 2)) - 1,
            254 => u64::from(u32::from_le_bytes([self.byte(), self.byte(), self.byte(), 0])),
            _ => most - u64::from(self.byte()),
        }
    }

    pub fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    pub fn rest(self) -> &'a [u8] {
        self.0
    }
}
