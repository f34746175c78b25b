//! The open connections to targets that rules have allowed. When rules change, those that are not
//! allowed any more are reset.

use crate::policy::{Policy, Question};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use striper_runtime::Cut;
use striper_runtime::local::FlowHandle;

/// Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Granted(Rc<Table>);

#[derive(Default)]
struct Table {
    open: RefCell<BTreeMap<u64, (Question, FlowHandle)>>,
    begun: Cell<u64>,
}

/// A permission for a connection that does not exist yet.
pub(crate) struct Grant {
    granted: Granted,
    question: Question,
}

/// One connection in the table, until this is dropped.
pub(crate) struct Kept {
    granted: Granted,
    number: u64,
}

impl Granted {
    pub(crate) fn grant(&self, question: Question) -> Grant {
        Grant { granted: self.clone(), question }
    }

    /// The rules have changed: resets what they do not allow any more.
    pub(crate) fn recheck(&self, policy: &Policy) {
        for (question, handle) in self.0.open.borrow().values() {
            if !policy.still_allows(question) {
                handle.cut(Cut::Denied);
            }
        }
    }
}

impl Grant {
    pub(crate) fn holds(&self, policy: &Policy) -> bool {
        policy.still_allows(&self.question)
    }

    pub(crate) fn keep(self, handle: FlowHandle) -> Kept {
        let Grant { granted, question } = self;
        let number = granted.0.begun.get();
        granted.0.begun.set(number + 1);
        granted.0.open.borrow_mut().insert(number, (question, handle));
        Kept { granted, number }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.granted.0.open.borrow_mut().remove(&self.number);
    }
}
