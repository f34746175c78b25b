//! The effects of faults of routes.

use super::World;
use crate::base::{Kind, Side};
use crate::net::{Breakage, Fault, Link, LinkSpec, Told};

impl World {
    pub(super) fn apply(&mut self, route: usize, fault: Fault) {
        let present = self.present.iter().copied();
        let conns: Vec<usize> = present.filter(|conn| self.conns[*conn].route == route).collect();
        if let Some(kind) = self.kind_of(route, &fault).filter(|_| !conns.is_empty()) {
            self.felt.add(kind);
            self.hits += 1;
        }
        match fault {
            Fault::Reset { told } => {
                for conn in conns {
                    self.kill(conn);
                    let told = Side::BOTH.into_iter().filter(|side| told.includes(*side));
                    told.for_each(|side| self.lose(conn, side));
                }
            }
            // A process that is stopped closes nothing.
            Fault::Close { by } if self.processes[by.index()].stopped => {}
            Fault::Close { by } => {
                for conn in conns {
                    if self.conns[conn].ends[by.index()].is_up() {
                        self.conns[conn].links[by.index()].close();
                        self.write_later(conn, by.index());
                        self.lose(conn, by);
                    }
                }
            }
            Fault::ResetAfter { by, bytes } => self.break_after(&conns, by, bytes, Breakage::Reset),
            Fault::Cut { by, bytes } => self.break_after(&conns, by, bytes, Breakage::Cut),
            Fault::Clog { from, time } => {
                let until = self.after(time);
                for (way, _) in from.into_iter().enumerate().filter(|(_, clogged)| *clogged) {
                    conns.iter().for_each(|conn| self.conns[*conn].links[way].clog(until));
                }
                self.routes[route].clogged_until = self.routes[route].clogged_until.max(until);
            }
            Fault::Forget { from } => {
                for conn in conns {
                    let silent = &mut self.conns[conn].silent;
                    *silent = [silent[0] | from[0], silent[1] | from[1]];
                }
            }
            Fault::Silence { from } => self.routes[route].silent = from,
            Fault::RefuseDials(count) => self.routes[route].refuse = count,
            Fault::CloseDials(count) => self.routes[route].close_dials = count,
            Fault::Change(specs) => self.change_route(route, *specs),
            Fault::Heal => {
                self.routes[route].silent = [false; 2];
                self.routes[route].refuse = 0;
                self.routes[route].close_dials = 0;
                conns.iter().for_each(|conn| {
                    self.conns[*conn].links.iter_mut().for_each(Link::cancel_break)
                });
                let first = self.routes[route].first.clone();
                if self.routes[route].specs != first {
                    self.change_route(route, first);
                }
            }
        }
    }

    fn kind_of(&self, route: usize, fault: &Fault) -> Option<Kind> {
        let one_way = |from: &[bool; 2]| from[0] != from[1];
        Some(match fault {
            Fault::Reset { told: Told::Both } => Kind::Reset,
            Fault::Reset { told: Told::Only(_) } => Kind::HalfDead,
            Fault::Close { .. } => Kind::Close,
            Fault::Forget { from } | Fault::Silence { from } if one_way(from) => Kind::OneWay,
            Fault::Forget { .. } => Kind::Blackhole,
            Fault::Silence { .. } => Kind::Silence,
            Fault::Change(_) => Kind::Change,
            Fault::Clog { .. } => {
                let other = |(number, other): (usize, &super::conn::Route)| {
                    number != route && other.clogged_until > self.now
                };
                if self.routes.iter().enumerate().any(other) { Kind::Swizzle } else { Kind::Stall }
            }
            // These hit later or never, and are noted then.
            Fault::ResetAfter { .. } | Fault::Cut { .. } => return None,
            Fault::RefuseDials(_) | Fault::CloseDials(_) | Fault::Heal => return None,
        })
    }

    fn break_after(&mut self, conns: &[usize], by: Side, bytes: u64, breakage: Breakage) {
        for conn in conns {
            self.conns[*conn].links[by.index()].break_after(bytes, breakage);
            self.write_later(*conn, by.index());
        }
    }

    fn change_route(&mut self, route: usize, specs: [LinkSpec; 2]) {
        for conn in self.conns.iter_mut().filter(|conn| conn.route == route) {
            for (link, spec) in conn.links.iter_mut().zip(&specs) {
                link.spec = spec.clone();
            }
        }
        self.routes[route].specs = specs;
    }
}
