//! The tasks around the library, as in the command line program, and strangers.

use super::*;

#[derive(Clone)]
pub(super) struct Proxy {
    pub net: SharedNet,
    pub process: usize,
    pub spawn: striper_runtime::local::Spawn,
    pub flows: Flows,
    pub first: usize,
}

impl Proxy {
    fn clock(&self) -> SimClock {
        SimClock { net: self.net.clone(), process: self.process }
    }
}

pub(super) async fn carry_local(proxy: Proxy, listen: SimListen, client: Client) {
    loop {
        let Ok(mut pipe) = listen.accept().await else {
            let clock = proxy.clock();
            sleep_until(&clock, clock.now() + Duration::from_millis(75)).await;
            continue;
        };
        let route =
            pipe.number().and_then(|number| proxy.net.borrow().route_of(number)).expect("a route");
        let index = (route - proxy.first) / 2;
        let (plan, flow) = proxy.flows.borrow()[index].clone();
        let (client, clock) = (client.clone(), proxy.clock());
        let target = Target::Host(HostPort::new("target", u16::try_from(index).unwrap_or(0)));
        let net = proxy.net.clone();
        (proxy.spawn)(Box::pin(async move {
            if plan.bridged[0] {
                match client.open(target).await {
                    Ok(mut carried) => {
                        bridge_in(&clock, &mut pipe, &mut carried, &Legs::default()).await;
                    }
                    Err(error) => {
                        flow.borrow_mut().open_error = Some(error);
                        pipe.abort();
                    }
                }
            } else {
                let report = client.carry(target, Box::new(pipe)).await;
                let mut flow = flow.borrow_mut();
                if let FlowEnd::NoSession(error) = &report.end {
                    flow.open_error = Some(error.clone());
                }
                flow.reports[0] = Some(report);
                flow.reported_at[0] = net.borrow().now;
            }
        }));
    }
}

pub(super) async fn connect_targets(proxy: Proxy, server: Server) {
    loop {
        let incoming = server.accept().await;
        let proxy = proxy.clone();
        let spawn = proxy.spawn.clone();
        spawn(Box::pin(async move {
            let Target::Host(target) = incoming.target() else { panic!("no target") };
            let index = usize::from(target.port);
            let (plan, flow) = proxy.flows.borrow()[index].clone();
            let limit = Duration::from_secs(10);
            let route = proxy.first + 2 * index + 1;
            match SimDial::connect(proxy.net.clone(), proxy.process, route, limit).await {
                Ok(mut pipe) if plan.bridged[1] => {
                    let mut carried = incoming.into_flow();
                    bridge_in(&proxy.clock(), &mut carried, &mut pipe, &Legs::default()).await;
                }
                Ok(pipe) => {
                    let report = incoming.carry(Box::new(pipe)).await;
                    let mut flow = flow.borrow_mut();
                    flow.reports[1] = Some(report);
                    flow.reported_at[1] = proxy.net.borrow().now;
                }
                Err(error) => {
                    if error == DialError::Refused {
                        proxy.net.borrow_mut().note(FaultKind::TargetRefused);
                    }
                    incoming.refuse(error.reason());
                    flow.borrow_mut().dial_error = Some(error);
                }
            }
        }));
    }
}

/// The server must get rid of a stranger, which one that `hears` everything notices.
pub(super) async fn stranger(net: SharedNet, route: usize, manner: Manner, hears: bool) {
    let clock = SimClock { net: net.clone(), process: PROGRAMS };
    let patience = clock.now() + Duration::from_secs(60);
    let mut call = std::pin::pin!(call(net, route, manner));
    let mut late = std::pin::pin!(sleep_until(&clock, patience));
    let over = poll_fn(|cx| {
        if call.as_mut().poll(cx).is_ready() {
            return Poll::Ready(true);
        }
        late.as_mut().poll(cx).map(|()| false)
    });
    assert!(over.await || !hears, "the server keeps a stranger that is {manner:?}");
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
