//! Stripes over any stack of pipes: those of a [`Dial`] or [`Listen`] are wrapped before a HELLO.

use crate::pipe::Pipe;
use crate::ports::{Accepting, Dial, Dialling, Listen};
use crate::target::HostPort;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

/// Puts a pipe on another one.
pub type Wrap = Rc<dyn Fn(Box<dyn Pipe>) -> Box<dyn Pipe>>;

/// A [`Dial`] or [`Listen`] whose pipes are wrapped. Both sides of a session wrap theirs alike.
pub struct Stacked<T> {
    below: T,
    wrap: Wrap,
}

impl<T> Stacked<T> {
    /// The pipes of `below`, wrapped by `wrap`.
    pub fn new(below: T, wrap: impl Fn(Box<dyn Pipe>) -> Box<dyn Pipe> + 'static) -> Self {
        Stacked { below, wrap: Rc::new(wrap) }
    }
}

impl<D: Dial> Dial for Stacked<D> {
    fn dial(&self, address: &HostPort, limit: Duration) -> Dialling {
        let (dialling, wrap) = (self.below.dial(address, limit), self.wrap.clone());
        Box::pin(async move { dialling.await.map(|pipe| wrap(pipe)) })
    }
}

impl<L: Listen> Listen for Stacked<L> {
    fn try_accept(&self) -> Accepting<'_> {
        Box::pin(async {
            let (pipe, from) = self.below.try_accept().await?;
            Ok(((self.wrap)(pipe), from))
        })
    }

    fn local_addr(&self) -> SocketAddr {
        self.below.local_addr()
    }
}
