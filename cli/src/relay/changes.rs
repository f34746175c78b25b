//! The changes of a running relay.

use super::port::{Port, Terms};
use crate::args::{Command, Invocation};
use crate::failure::Failure;
use crate::log::{Level, Log};
use crate::reload::{Later, Places, Plan, Ready, Role};
use smol::future::FutureExt;

pub(super) struct Changing {
    pub port: Port,
}

impl Role for Changing {
    fn reread(&self, log: &Log, _: &Invocation) -> Result<String, Failure> {
        let text = "nothing to read again: a relay has no keys".to_owned();
        log.info("keys_read", &text, &[]);
        Ok(text)
    }

    fn prepare<'a>(&'a self, log: &'a Log, plan: &'a Plan) -> Later<'a, Result<Ready, Failure>> {
        self.ready(log, plan).boxed_local()
    }

    fn places(&self) -> (Vec<String>, Vec<String>) {
        self.port.places()
    }
}

impl Changing {
    async fn ready(&self, log: &Log, plan: &Plan) -> Result<Ready, Failure> {
        let Command::Relay { target, framing, .. } = &plan.next.command else {
            return Err(plan.of_another("relay"));
        };
        let terms = Terms {
            target: target.clone(),
            framing: *framing,
            limit: plan.next.options.connect_timeout,
        };
        let listener = match plan.moves_to() {
            Some(address) => Some((address, self.port.bind(address).await?)),
            None => None,
        };
        let (port, log, target) = (self.port.clone(), log.clone(), target.clone());
        let commit = async move {
            port.set_terms(terms);
            match listener {
                Some((address, listener)) => {
                    super::warn_of_public(&log, listener.local_addr(), &target);
                    let opened = vec![listener.local_addr().to_string()];
                    let before = port.move_to(address, listener).await;
                    let closed = before.iter().map(ToString::to_string).collect();
                    Places { opened, closed }
                }
                None => Places::default(),
            }
        };
        Ok(Ready { content: Vec::new(), level: Level::Info, commit: commit.boxed_local() })
    }
}
