//! The actions of a scenario.

use super::tasks::stranger;
use super::*;

impl World {
    pub(super) fn perform(&mut self, action: Action) {
        match action {
            Action::Stranger { route, manner } => {
                self.net.borrow_mut().note(FaultKind::Stranger);
                let net = self.net.clone();
                let hears = self.scenario.kinds.iter().all(|kind| HARMLESS.contains(kind));
                self.executors[PROGRAMS].spawn(stranger(net, route, manner, hears));
            }
            Action::Restart { process, down, mute } => {
                if self.is_up(process) {
                    self.kill(process, mute);
                    let kind = match (mute, process) {
                        (true, _) => FaultKind::Crash,
                        (false, CLIENT) => FaultKind::ClientRestart,
                        (false, _) => FaultKind::ServerRestart,
                    };
                    self.net.borrow_mut().note(kind);
                    self.later(micros(down), Action::Start { process });
                }
            }
            Action::Start { process } => {
                if !self.is_up(process) {
                    self.start(process);
                }
            }
            Action::Shutdown { process, drain } => {
                if self.is_up(process) {
                    self.net.borrow_mut().note(FaultKind::Shutdown);
                    self.shut_down(process, drain);
                }
            }
            Action::Stopped { process, again } => self.has_stopped(process, again),
            action => disturb(&mut self.net.borrow_mut(), action),
        }
    }

    pub(super) fn later(&mut self, wait: u64, action: Action) {
        let index = self.scenario.script.len();
        let mut net = self.net.borrow_mut();
        let at = net.now + wait;
        self.scenario.script.push((at, action));
        net.agenda.add(at, Event::Script(index));
    }

    pub(super) fn shut_down(&mut self, process: usize, drain: Duration) {
        let stopped = self.stopped[process].clone();
        let (client, server) = (self.client.clone(), self.server.clone());
        self.executors[process].spawn(async move {
            match (process, client, server) {
                (CLIENT, Some(client), _) => client.shutdown(drain).await,
                (_, _, Some(server)) => server.shutdown(drain).await,
                _ => {}
            }
            stopped.set(true);
        });
        let now = self.net.borrow().now;
        self.causes.borrow_mut().stopped(process, now);
        // A session that has no stripe any more keeps its last words for a second. Then nothing is
        // left.
        self.later(micros(drain) + 15_000_000, Action::Stopped { process, again: 0 });
    }

    /// A proxy that was told to stop has done so, unless it stood still or has been killed.
    pub(super) fn has_stopped(&mut self, process: usize, again: u32) {
        if !self.is_up(process) {
            return;
        }
        let paused = self.net.borrow().processes[process].paused_until;
        let now = self.net.borrow().now;
        if paused + 15_000_000 > now && paused > 0 && again < 3 {
            let wait = paused.saturating_sub(now) + 15_000_001;
            return self.later(wait, Action::Stopped { process, again: again + 1 });
        }
        if !self.stopped[process].get() && self.scenario.kinds.contains(&FaultKind::Crash) {
            // This is another process than the one that was told.
            return;
        }
        if self.stopped[process].get() {
            let tasks = self.executors[process].tasks();
            assert_eq!(
                tasks,
                1 + self.busy[process].get(),
                "tasks of a stopped proxy, process {process}"
            );
            self.kill(process, false);
            self.start(process);
        } else {
            let restarts = [FaultKind::ServerRestart, FaultKind::ClientRestart];
            let restarts = restarts.iter().any(|kind| self.scenario.kinds.contains(kind));
            let stopped = |(_, action): &&(u64, Action)| matches!(action, Action::Stopped { .. });
            let several = self.scenario.script.iter().filter(stopped).count() > 1;
            assert!(restarts || several, "process {process} was told to stop and has not");
        }
    }

    pub(super) fn heal(&mut self) {
        for process in [SERVER, CLIENT] {
            if !self.is_up(process) {
                self.start(process);
            }
        }
        let mut net = self.net.borrow_mut();
        for route in 0..self.flow_routes {
            let route = &mut net.routes[route];
            (route.silent, route.refuse, route.close) = ([false; 2], 0, 0);
            route.cut.clear();
        }
        for process in &mut net.processes {
            (process.no_files, process.paused_until) = ([0; 2], 0);
        }
        net.keep_alive(self.flow_routes);
        drop(net);
        self.eager.set(true);
        self.executors[PROGRAMS].wake_all();
    }
}

fn disturb(net: &mut Net, action: Action) {
    match action {
        Action::Break { route, all, how } => {
            let hit = net.connections_of(route);
            let count = if all { hit.len() } else { 1 };
            for number in hit.into_iter().take(count) {
                net.note(match how {
                    Break::Reset([true, true]) => FaultKind::Reset,
                    Break::Reset(_) => FaultKind::HalfDead,
                    Break::Fin => FaultKind::FinMidFrame,
                    Break::Forget(_) => FaultKind::Forget,
                });
                net.break_connection(number, how);
            }
        }
        Action::Cut { route, after, how } => net.routes[route].cut.push_back((after, how)),
        Action::Silence { route, from } => {
            let kind = if from == [true; 2] { FaultKind::Silence } else { FaultKind::OneWay };
            if !net.connections_of(route).is_empty() {
                net.note(kind);
            }
            net.routes[route].silent = from;
        }
        Action::Clear { route } => {
            net.note(FaultKind::Stall);
            net.routes[route].silent = [false; 2];
        }
        Action::Refuse { route, count } => net.routes[route].refuse += count,
        Action::AcceptClose { route, count } => net.routes[route].close += count,
        Action::Pause { process, time } => {
            net.note(FaultKind::Pause);
            let until = net.now + micros(time);
            let process = &mut net.processes[process];
            process.paused_until = process.paused_until.max(until);
            // So that the world's clock stops there.
            net.agenda.add(until, Event::Script(usize::MAX));
        }
        Action::Jump { process, by } => {
            net.note(FaultKind::ClockJump);
            net.processes[process].ahead += micros(by);
        }
        Action::NoFiles { process, accept, count } => {
            net.processes[process].no_files[accept] += count;
        }
        Action::Change { route, specs } => {
            net.note(FaultKind::Change);
            net.change(route, *specs);
        }
        Action::Heal => {}
        other => unreachable!("{other:?} needs more than the network"),
    }
}
