//! The tools that the tasks around the library share, and strangers.

use super::*;

#[derive(Clone)]
pub(super) struct Proxy {
    pub net: SharedNet,
    pub process: usize,
    pub spawn: striper_runtime::local::Spawn,
    pub flows: Flows,
    pub first: usize,
    pub causes: Rc<RefCell<Causes>>,
    /// The tasks that are busy with something beside the library.
    pub busy: Rc<Cell<usize>>,
    pub doors: doors::Doors,
    pub eager: Rc<Cell<bool>>,
    /// Listeners are to end.
    pub closing: Rc<Cell<bool>>,
    /// The timers of the client are never late.
    pub punctual: bool,
}

impl Proxy {
    pub fn clock(&self) -> SimClock {
        SimClock { net: self.net.clone(), process: self.process }
    }

    /// Waits between two calls of the client.
    pub async fn pause_until(&self, at: striper_core::Instant) {
        self.busy.set(self.busy.get() + 1);
        sleep_until(&self.clock(), at).await;
        self.busy.set(self.busy.get() - 1);
    }

    /// Joins two pipes, even after the library has stopped.
    pub async fn bridge(&self, one: &mut dyn Pipe, other: &mut dyn Pipe) {
        self.busy.set(self.busy.get() + 1);
        bridge_in(&self.clock(), one, other, &Legs::default()).await;
        self.busy.set(self.busy.get() - 1);
    }

    pub fn now(&self) -> u64 {
        self.net.borrow().now
    }

    pub fn flow(&self, index: usize) -> (FlowPlan, Rc<RefCell<FlowState>>) {
        self.flows.borrow()[index].clone()
    }
}

/// The output of the future that is ready first.
pub(super) async fn either<T>(one: impl Future<Output = T>, other: impl Future<Output = T>) -> T {
    let (mut one, mut other) = (std::pin::pin!(one), std::pin::pin!(other));
    poll_fn(|cx| match one.as_mut().poll(cx) {
        Poll::Pending => other.as_mut().poll(cx),
        ready => ready,
    })
    .await
}

/// The server must get rid of a stranger, which one that `hears` everything notices.
pub(super) async fn stranger(net: SharedNet, route: usize, manner: Manner, hears: bool) {
    let clock = SimClock { net: net.clone(), process: PROGRAMS };
    let patience = clock.now() + Duration::from_secs(60);
    let gone = async {
        call(net, route, manner).await;
        true
    };
    let late = async {
        sleep_until(&clock, patience).await;
        false
    };
    let over = either(gone, late).await;
    assert!(over || !hears, "the server keeps a stranger that is {manner:?}");
}

async fn call(net: SharedNet, route: usize, manner: Manner) {
    let clock = SimClock { net: net.clone(), process: PROGRAMS };
    let Ok(mut pipe) = SimDial::connect(net, PROGRAMS, route, Duration::from_secs(5)).await else {
        return;
    };
    let (session, stripe) = (SessionId([7; 16]), StripeId(3));
    let hello = Hello { kind: HelloKind::Join, session, stripe, gone: Vec::new() }.encode();
    let mut text: &[u8] = match manner {
        Manner::Garbage => b"GET / HTTP/1.1\r\n\r\n",
        Manner::Newer => b"striper\x7f and so on",
        Manner::Slow | Manner::Lost => &hello,
        Manner::Mute => b"",
        Manner::Gone => return,
    };
    while !text.is_empty() {
        let mut part = if manner == Manner::Slow { &text[..1] } else { text };
        let before = part.len();
        if poll_fn(|cx| pipe.poll_send(cx, &mut part)).await.is_err() {
            return;
        }
        text = &text[before - part.len()..];
        if manner == Manner::Slow {
            sleep_until(&clock, clock.now() + Duration::from_secs(1)).await;
        }
    }
    // The server has had enough at some time, however that shows.
    while let Ok(Received::Chunk(_)) = poll_fn(|cx| pipe.poll_recv(cx, 4096)).await {}
}
