//! The targets of flows: their names and rules, the server's way to them, and what they do.

use super::tasks::{Proxy, either};
use super::*;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use striper_runtime::local::Incoming;
use striper_runtime::{ListenRule, Rule, Rules};

/// How long a server waits for a target.
pub(super) const LIMIT: Duration = Duration::from_secs(10);

const ALLOW: &str = "10.1.0.0/16:*";
const DENY: &str = "10.1.255.0/24:*";

fn name(index: usize) -> String {
    format!("t{index}.example")
}

fn path(index: usize) -> String {
    format!("/run/t{index}")
}

/// A name leads here. Some addresses that are not allowed have no rule, others a rule against them.
fn address(index: usize, plan: &FlowPlan) -> IpAddr {
    let [third, last] = (index as u16).to_be_bytes();
    IpAddr::V4(match (plan.answer, index % 2) {
        (Answer::Denied, 0) => Ipv4Addr::new(10, 2, third, last),
        (Answer::Denied, _) => Ipv4Addr::new(10, 1, 255, last),
        _ => Ipv4Addr::new(10, 1, third, last),
    })
}

fn port(index: usize) -> u16 {
    1_000 + index as u16
}

/// The target that the client names for a flow's program.
pub(super) fn named(index: usize, plan: &FlowPlan) -> Target {
    match plan.naming {
        Naming::Own => Target::Default,
        Naming::Host => Target::Host(HostPort::new(&name(index), port(index))),
        Naming::Address => {
            Target::Host(HostPort::new(&address(index, plan).to_string(), port(index)))
        }
        Naming::Unix => Target::Unix(path(index)),
    }
}

fn rules(flows: &Flows) -> Rules {
    let mut rules = Rules::default();
    let rule = |text: &str| text.parse::<Rule>().expect("a rule");
    rules.allow(rule(ALLOW));
    rules.deny(rule(DENY));
    rules.allow_listen(doors::ALLOW.parse::<ListenRule>().expect("a rule"));
    for (index, (plan, _)) in flows.borrow().iter().enumerate() {
        if plan.naming == Naming::Unix && plan.answer != Answer::Denied {
            rules.allow(rule(&format!("unix:{}", path(index))));
        }
    }
    rules
}

/// The flow whose target a server with these rules dials, or none if it may dial nothing.
fn allowed(target: &Target, rules: &Rules, flows: &Flows) -> Option<usize> {
    let flows = flows.borrow();
    let mut known = flows.iter().enumerate().map(|(index, (plan, _))| (index, plan));
    let asked = match target {
        Target::Default => {
            // A server may have no target of its own.
            let own = |(_, plan): &(usize, &FlowPlan)| plan.naming == Naming::Own;
            let (index, plan) = known.find(own)?;
            return (plan.answer != Answer::Denied).then_some(index);
        }
        Target::Unix(asked) => {
            rules.check_unix(Path::new(asked)).ok()?;
            return known.find(|(index, _)| path(*index) == *asked).map(|(index, _)| index);
        }
        Target::Host(asked) => asked,
        other => panic!("a target of an unknown kind: {other:?}"),
    };
    rules.may_resolve(asked).ok()?;
    let literal = asked.host.parse().ok();
    let looked_up = known.clone().find(|(index, _)| name(*index) == asked.host);
    let ip = literal.or(looked_up.map(|(index, plan)| address(index, plan)))?;
    rules.check(asked, SocketAddr::new(ip, asked.port), |_| false).ok()?;
    let is_there = |(index, plan): &(usize, &FlowPlan)| {
        address(*index, plan) == ip && port(*index) == asked.port
    };
    known.find(is_there).map(|(index, _)| index)
}

/// Makes the route to a target do as it should.
pub(super) fn prepare(route: &mut crate::run::driver::net::Route, answer: Answer) {
    match answer {
        Answer::Refuses => route.refuse = u32::MAX,
        Answer::Never => route.silent = [true; 2],
        Answer::Late(after) => route.late = after,
        Answer::Accepts | Answer::Denied | Answer::Unanswered | Answer::Resets | Answer::Ends => {}
    }
}

/// The server's part: takes flows and connects them to their targets.
pub(super) async fn connect_targets(proxy: Proxy, server: Server) {
    let rules = Rc::new(rules(&proxy.flows));
    loop {
        let incoming = server.accept().await;
        let (proxy, rules, spawn) = (proxy.clone(), rules.clone(), proxy.spawn.clone());
        spawn(Box::pin(connect(proxy, rules, incoming)));
    }
}

async fn connect(proxy: Proxy, rules: Rc<Rules>, incoming: Incoming) {
    let target = incoming.target().clone();
    if let Target::Listen { address, .. } = target {
        return doors::listen(proxy, rules, incoming, address).await;
    }
    let is_named = |(index, (plan, _)): &(usize, &(FlowPlan, _))| {
        plan.reverse.is_none() && named(*index, plan) == target
    };
    let asked = proxy.flows.borrow().iter().enumerate().find(is_named).map(|(index, _)| index);
    let asked = asked.unwrap_or_else(|| panic!("{target:?}, which no program has named"));
    let (plan, flow) = proxy.flow(asked);
    proxy.heard(asked);
    let Some(index) = allowed(&target, &rules, &proxy.flows) else {
        proxy.net.borrow_mut().note(FaultKind::TargetDenied);
        flow.borrow_mut().reach = Reach::Denied;
        return incoming.refuse(Reach::Denied.reason().expect("a reason"));
    };
    assert_eq!(index, asked, "{target:?} leads to another target");
    assert_ne!(plan.answer, Answer::Denied, "dialled and not allowed: {target:?}");
    answer(proxy, index, incoming).await;
}

/// Connects a flow to its target, from either side.
pub(super) async fn answer(proxy: Proxy, index: usize, mut incoming: Incoming) {
    let (plan, flow) = proxy.flow(index);
    if plan.answer == Answer::Unanswered {
        proxy.net.borrow_mut().note(FaultKind::TargetRefused);
        flow.borrow_mut().reach = Reach::Unanswered;
        return;
    }
    flow.borrow_mut().reach = Reach::Dialling;
    match plan.answer {
        Answer::Never => proxy.net.borrow_mut().note(FaultKind::TargetMute),
        Answer::Late(_) => proxy.net.borrow_mut().note(FaultKind::TargetLate),
        _ => {}
    }
    let route = proxy.first + 2 * index + 1;
    let dial = SimDial::connect(proxy.net.clone(), proxy.process, route, LIMIT);
    let unwanted = async {
        incoming.unwanted().await;
        None
    };
    match either(unwanted, async { Some(dial.await) }).await {
        None => flow.borrow_mut().reach = Reach::Unwanted,
        Some(Ok(mut pipe)) => {
            flow.borrow_mut().reach = Reach::Reached;
            if plan.bridged[1] {
                let mut carried = incoming.into_flow();
                proxy.bridge(&mut carried, &mut pipe).await;
            } else {
                let report = incoming.carry(Box::new(pipe)).await;
                flow.borrow_mut().hear(1, report, proxy.now());
            }
        }
        Some(Err(error)) => {
            if error == DialError::Refused {
                proxy.net.borrow_mut().note(FaultKind::TargetRefused);
            }
            let reason = error.reason();
            flow.borrow_mut().reach = Reach::Failed(error);
            incoming.refuse(reason);
        }
    }
}

impl World {
    /// The programs behind the targets.
    pub(super) fn start_targets(&mut self) {
        let listen = SimListen::new(self.net.clone(), self.target_port);
        let (net, eager, flows) = (self.net.clone(), self.eager.clone(), self.flows.clone());
        let (spawn, first) = (self.executors[PROGRAMS].spawner(), self.flow_routes);
        self.executors[PROGRAMS].spawn(async move {
            loop {
                let Ok(pipe) = listen.accept().await else { continue };
                let number = pipe.number().expect("a connection");
                let route = net.borrow().route_of(number).expect("a route");
                let (plan, flow) = flows.borrow()[(route - first) / 2].clone();
                let again = flow.borrow().sides[1].started;
                assert!(!again, "flow {} is connected to its target twice", flow.borrow().index);
                if matches!(plan.answer, Answer::Resets | Answer::Ends) {
                    net.borrow_mut().note(FaultKind::TargetGone);
                }
                let clock = SimClock { net: net.clone(), process: PROGRAMS };
                let (plan, eager, net) = (plan.programs[1].clone(), eager.clone(), net.clone());
                spawn(Box::pin(Program { flow, side: 1, plan, eager, net }.run(pipe, clock)));
            }
        });
    }
}
