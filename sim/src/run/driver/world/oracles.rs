//! The oracles: between polls, when flows are over, and when nothing is left to do.

use super::*;

impl World {
    pub(super) fn check(&self) {
        if let Some(client) = &self.client {
            client.check_invariants();
        }
        if let Some(server) = &self.server {
            server.check_invariants();
        }
    }

    /// The proxies have found each other again, although perhaps nobody waits for it.
    pub(super) fn has_recovered(&self) {
        let live = self.client.as_ref().map_or(0, |client| client.check_invariants().stripes);
        let stopping = self.scenario.kinds.contains(&FaultKind::Shutdown);
        assert!(live > 0 || stopping, "no stripe {RECOVERY} µs after all faults");
    }

    pub(super) fn are_flows_over(&self) -> bool {
        self.flows.borrow().iter().all(|(_, flow)| flow.borrow().is_over())
    }

    pub(super) fn unfinished(&self) -> Vec<(usize, FlowPlan, [Progress; 2])> {
        let flows = self.flows.borrow();
        let open = flows.iter().filter(|(_, flow)| !flow.borrow().is_over());
        open.map(|(plan, flow)| (flow.borrow().index, plan.clone(), flow.borrow().sides.clone()))
            .take(2)
            .collect()
    }

    /// Each flow has completed, or was broken while it was open, for a reason that is known.
    pub(super) fn judge(&self, proofs: std::ops::RangeFrom<usize>) {
        let causes = self.causes.borrow();
        for (plan, flow) in self.flows.borrow().iter() {
            let flow = flow.borrow();
            self.judge_reports(plan, &flow);
            if flow.is_complete() {
                let otherwise = |(report, at): (&Option<FlowReport>, &u64)| {
                    report.as_ref().is_some_and(|report| report.end != FlowEnd::Finished)
                        && !causes.any_ended(plan.at, *at)
                };
                let otherwise = flow.reports.iter().zip(&flow.reported_at).any(otherwise);
                assert!(!otherwise, "complete, and reported otherwise: {flow:?}");
                continue;
            }
            let index = flow.index;
            let is_proof = proofs.contains(&index);
            assert!(!is_proof, "a new connection after all faults does not work: {flow:?}");
            let ended = causes.any_ended(plan.at, flow.broken_at());
            let unreachable =
                flow.open_error.is_some() && causes.any_bare(plan.at, flow.broken_at());
            let failed = self.may_fail(plan, &flow.reach);
            let unheard = flow.listener_ended || !flow.sides[0].started;
            let no_door = plan.reverse.is_some() && flow.reach == Reach::Unheard && unheard;
            assert!(
                flow.is_broken_off() || ended || unreachable || failed || no_door,
                "not complete: {flow:#?}\n{plan:#?}"
            );
        }
    }

    /// Without flows nothing is held, and nothing is done but heartbeats.
    pub(super) fn settle(&mut self) {
        let now = self.net.borrow().now;
        self.run_until(now + SETTLE, false);
        let (polls, now) = (self.polls, self.net.borrow().now);
        self.run_until(now + 20_000_000, false);
        let polls = self.polls - polls;
        assert!(polls < 20 * IDLE_POLLS, "{polls} polls in 20 s without flows");
        for (name, footprint) in [
            ("client", self.client.as_ref().map(Client::check_invariants)),
            ("server", self.server.as_ref().map(Server::check_invariants)),
        ] {
            let Some(footprint) = footprint else { panic!("the {name} is not up") };
            let (held, links) = (footprint.held, footprint.stripes + footprint.dials);
            let found = (footprint.flows, held, footprint.slots);
            assert_eq!(found, (0, 0, links), "the {name} at rest: {footprint:?}");
        }
        let live = self.client.as_ref().map_or(0, |client| client.check_invariants().stripes);
        assert_eq!(live, self.scenario.configs[CLIENT].stripes, "stripes at rest");
        assert_eq!(self.executors[PROGRAMS].tasks(), 1, "programs that never end");
        assert_eq!(self.executors[CLIENT].tasks(), 2, "tasks of the client at rest");
        let sessions = self.server.as_ref().map_or(0, |server| server.status().sessions.len());
        assert_eq!(self.executors[SERVER].tasks(), 2 + sessions, "tasks of the server at rest");
        assert_eq!(sessions, 1, "sessions at rest");
    }

    pub(super) fn stop(&mut self) {
        for process in [CLIENT, SERVER] {
            self.shut_down(process, Duration::from_secs(1));
            self.scenario.script.pop();
            self.scenario.script.push((0, Action::Heal));
        }
        let now = self.net.borrow().now;
        self.run_until(now + 10_000_000, false);
        for process in [CLIENT, SERVER] {
            assert!(self.stopped[process].get(), "process {process} has not stopped");
            let tasks = self.executors[process].tasks();
            assert_eq!(tasks, 1, "tasks of process {process} when stopped");
            self.kill(process, false);
        }
        let now = self.net.borrow().now;
        self.run_until(now + 200_000_000, false);
        assert_eq!(self.net.borrow().describe(), [""; 0], "connections that nobody has closed");
        self.executors[PROGRAMS].kill();
    }
}
