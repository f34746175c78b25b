//! Listeners that the server has for the client (`-R`). Each belongs to one flow, whose program
//! dials the server's side, and whose target is on the client's.

use super::targets::answer;
use super::tasks::{Proxy, either};
use super::*;
use crate::run::driver::pipe::SimPipe;
use std::net::SocketAddr;
use std::rc::Weak;
use striper_core::Reason;
use striper_runtime::local::{Incoming, RemoteListener};
use striper_runtime::{Addresses, Rules};

/// The time until a client asks again for a listener that has ended.
const RETRY: Duration = Duration::from_secs(1);

/// The listeners of a server that are open, by flow.
pub(super) type Doors = Rc<RefCell<BTreeMap<usize, Door>>>;

/// Dropping it frees the address.
pub(super) struct Door {
    listen: Rc<SimListen>,
    stands_still: Box<dyn Fn() -> bool>,
}

/// The addresses that the server listens on for its client.
pub(super) const ALLOW: &str = "192.0.2.1:2000-2999";

/// Where the server is to listen for a flow.
fn address(index: usize, plan: &FlowPlan) -> SocketAddr {
    let last = if plan.answer == Answer::Denied { 2 } else { 1 };
    SocketAddr::from(([192, 0, 2, last], 2_000 + index as u16))
}

/// The addresses of the program's connection to the listener.
fn addresses(index: usize, plan: &FlowPlan) -> Addresses {
    let program = SocketAddr::from(([198, 51, 100, 1], 3_000 + index as u16));
    Addresses::new(program, address(index, plan))
}

/// The client's part: has the server listen again and again, until listeners are to end.
pub(super) async fn keep_listener(proxy: Proxy, client: Client, index: usize) {
    let (plan, flow) = proxy.flow(index);
    let clock = proxy.clock();
    while !proxy.closing.get() {
        if client.ready().await.is_err() {
            return;
        }
        match client.listen(address(index, &plan)).await {
            Ok(listener) => {
                assert_ne!(plan.answer, Answer::Denied, "it listens and must not: {flow:?}");
                flow.borrow_mut().listened += 1;
                take(&proxy, listener, index).await;
            }
            Err(report) => {
                let denied = report.end == FlowEnd::Refused(Reason::NotAllowed);
                let known = !denied || plan.answer == Answer::Denied;
                assert!(known, "it may listen, and hears otherwise: {report:?}, {flow:?}");
            }
        }
        proxy.pause_until(clock.now() + RETRY).await;
    }
}

/// Takes connections until the server listens no more, or this side has had enough.
async fn take(proxy: &Proxy, mut listener: RemoteListener, index: usize) {
    let (plan, flow) = proxy.flow(index);
    let clock = proxy.clock();
    let until = lifetime(&plan, CLIENT).map(|time| clock.now() + time);
    loop {
        let next = async { listener.accept().await.ok() };
        let enough = async {
            had_enough(proxy, until).await;
            None
        };
        let Some(incoming) = either(next, enough).await else { break };
        let by_listener = matches!(incoming.target(), Target::Listener(_));
        assert!(by_listener, "of no listener: {:?}", incoming.target());
        let program = incoming.opening().program;
        assert_eq!(program, Some(addresses(index, &plan)), "at another listener");
        proxy.heard(index);
        let (proxy, spawn) = (proxy.clone(), proxy.spawn.clone());
        spawn(Box::pin(async move { answer(proxy, index, incoming).await }));
    }
    flow.borrow_mut().listener_ended = true;
}

fn lifetime(plan: &FlowPlan, side: usize) -> Option<Duration> {
    plan.reverse.as_ref().and_then(|plan| plan.lives[side])
}

/// Waits until listeners are to end, or for that time if faults are not over by then.
async fn had_enough(proxy: &Proxy, until: Option<striper_core::Instant>) {
    let clock = proxy.clock();
    let mut timer = clock.timer();
    poll_fn(|cx| {
        if proxy.closing.get() {
            return Poll::Ready(());
        }
        match until.filter(|_| !proxy.eager.get()) {
            Some(until) => timer.poll_until(cx, until),
            None => Poll::Pending,
        }
    })
    .await;
    if !proxy.closing.get() {
        proxy.net.borrow_mut().note(FaultKind::ListenerDropped);
    }
}

/// The server's part: listens for the client, and carries what comes.
pub(super) async fn listen(proxy: Proxy, rules: Rc<Rules>, incoming: Incoming, at: SocketAddr) {
    let index = usize::from(at.port() - 2_000);
    let (plan, flow) = proxy.flow(index);
    if rules.may_listen(at).is_none() {
        return incoming.refuse(Reason::NotAllowed);
    }
    assert_ne!(plan.answer, Answer::Denied, "allowed, and must not be: {at}");
    let is_stale = proxy.doors.borrow().get(&index).map(|door| (door.stands_still)());
    match is_stale {
        Some(false) => return incoming.refuse(Reason::Unavailable),
        Some(true) => drop(proxy.doors.borrow_mut().remove(&index)),
        None => {}
    }
    let port = flow.borrow().door.expect("a port");
    let listen = Rc::new(SimListen::new(proxy.net.clone(), port));
    let ours = Rc::downgrade(&listen);
    // Taken at once, so that nobody else takes the address meanwhile.
    let stands_still = Box::new(|| false);
    proxy.doors.borrow_mut().insert(index, Door { listen, stands_still });
    let mut listening = incoming.listen(at.port()).await;
    if let Some(door) = proxy.doors.borrow_mut().get_mut(&index) {
        door.stands_still = Box::new(listening.probe());
    }
    let clock = proxy.clock();
    let until = lifetime(&plan, SERVER).map(|time| clock.now() + time);
    loop {
        let unwanted = async {
            listening.unwanted().await;
            None
        };
        let over = async {
            had_enough(&proxy, until).await;
            None
        };
        let Some(pipe) = either(either(unwanted, next(&ours)), over).await else { break };
        flow.borrow_mut().asked_at = Some(proxy.now());
        let (carried, proxy, flow) = (
            listening.carry(Box::new(pipe), addresses(index, &plan), None),
            proxy.clone(),
            flow.clone(),
        );
        let spawn = proxy.spawn.clone();
        spawn(Box::pin(async move {
            let report = carried.await;
            flow.borrow_mut().hear(0, report, proxy.now());
        }));
    }
    flow.borrow_mut().listener_ended = true;
    let mut doors = proxy.doors.borrow_mut();
    let is_ours = |door: &Door| ours.upgrade().is_some_and(|ours| Rc::ptr_eq(&ours, &door.listen));
    if doors.get(&index).is_some_and(is_ours) {
        doors.remove(&index);
    }
}

/// The next connection; none if the address has been taken over.
async fn next(listen: &Weak<SimListen>) -> Option<SimPipe> {
    poll_fn(|cx| {
        let Some(listen) = listen.upgrade() else { return Poll::Ready(None) };
        loop {
            match listen.poll_accept(cx) {
                Poll::Ready(Ok(pipe)) => return Poll::Ready(Some(pipe)),
                // It has failed for want of a file descriptor, so many times as planned.
                Poll::Ready(Err(_)) => {}
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await
}

impl World {
    /// Has the client ask for the listener of a flow that needs one.
    pub(super) fn start_listener(&self, index: usize) {
        let is_reverse = self.flows.borrow()[index].0.reverse.is_some();
        if let Some(client) = self.client.clone().filter(|_| is_reverse) {
            let proxy = self.proxy(CLIENT);
            self.executors[CLIENT].spawn(keep_listener(proxy, client, index));
        }
    }

    /// Ends all listeners.
    pub(super) fn close_doors(&self) {
        self.closing.set(true);
        self.executors[CLIENT].wake_all();
    }
}
